"""The model card as a page: the package's README.md, and what a notebook shows."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from sluice.contract import Variable
from sluice.manifest import Card, Manifest

_SHOWN = 20


def page(manifest: Manifest) -> str:
    """The card as Markdown; equal manifests give equal text."""
    return "\n".join(_page(manifest, manifest.card or Card())) + "\n"


def notebook(manifest: Manifest) -> str:
    """The card as HTML for a notebook."""
    card = manifest.card or Card()
    rows = [(name, f"{value:.6g}") for name, value in (card.metrics or {}).items()]
    weights = [(item.variable, f"{item.share:.1%}") for item in (card.importance or ())[:_SHOWN]]
    parts = [
        f"<h3>{html.escape(manifest.name)} {html.escape(manifest.version)}</h3>",
        *(f"<p>{html.escape(text)}</p>" for text in (card.description, card.data) if text),
        _html_table(("metric", "value"), rows),
        _html_table(("input", "importance"), weights),
    ]
    return "".join(parts)


def _page(manifest: Manifest, card: Card) -> Iterator[str]:
    yield f"# {manifest.name} {manifest.version}"
    if card.description:
        yield from ("", card.description)
    for title, text in (
        ("Owner", card.owner),
        ("License", card.license),
        ("Intended use", card.intended_use),
        ("Limitations", card.limitations),
        ("Data", card.data),
    ):
        if text:
            yield from ("", f"**{title}.** {text}")
    yield from _metrics(card)
    yield from _inputs(manifest)
    yield from _training(manifest)


def _metrics(card: Card) -> Iterator[str]:
    if card.metrics:
        yield from ("", "## How well it does", "", "On rows that training did not see.", "")
        yield from _table(("metric", "value"), [(name, _number(value)) for name, value in card.metrics.items()])
    if card.slices:
        names = list(card.slices[0].metrics)
        rows = [(s.by, s.value, str(s.rows), *(_number(s.metrics.get(name)) for name in names)) for s in card.slices]
        yield from ("", "## By slices", "", *_table(("by", "value", "rows", *names), rows))
    if card.fairness:
        rows = [(f.group, f.metric, value, _number(number), _number(f.difference))
                for f in card.fairness for value, number in f.values.items()]  # fmt: skip
        head = ("group", "metric", "value", "is", "largest difference")
        yield from ("", "## Fairness", "", *_table(head, rows))
    if card.importance:
        rows = [(item.variable, f"{item.share:.1%}") for item in card.importance[:_SHOWN]]
        yield from (
            "",
            "## What it goes by",
            "",
            "Share of what is lost when the values of one input are shuffled.",
            "",
        )
        yield from _table(("input", "share"), rows)


def _inputs(manifest: Manifest) -> Iterator[str]:
    known = {variable.tensor: variable for variable in manifest.variables}
    filled = {feature.tensor for feature in manifest.features.features} if manifest.features else set[str]()
    clock = manifest.clock.input if manifest.clock else None
    rows = []
    for spec in manifest.inputs:
        source = "the feature store" if spec.name in filled else "the clock" if spec.name == clock else "the request"
        rows.append((spec.name, str(spec.datatype), _allowed(known.get(spec.name)), source))
    yield from ("", "## Inputs", "", *_table(("input", "type", "may be", "comes from"), rows))


def _allowed(variable: Variable | None) -> str:
    if variable is None:
        return "anything"
    words = []
    if variable.categories is not None:
        words.append(", ".join(str(item) for item in variable.categories[:_SHOWN]))
        if len(variable.categories) > _SHOWN:
            words.append(f"and {len(variable.categories) - _SHOWN} more")
    if variable.minimum is not None or variable.maximum is not None:
        words.append(f"{_number(variable.minimum) or '...'} to {_number(variable.maximum) or '...'}")
    words.append("missing" if variable.nullable else "")
    words.append(f"otherwise: {variable.on_violation}")
    return "; ".join(word for word in words if word)


def _training(manifest: Manifest) -> Iterator[str]:
    if (training := manifest.training) is None:
        return
    rows = [("seed", str(training.seed)), ("data", training.data), ("code", training.code)]
    rows += [("previous", training.previous)] if training.previous else []
    rows += [(name, str(value)) for name, value in training.parameters.items()]
    yield from ("", "## How it was trained", "", *_table(("what", "value"), rows))
    yield from ("", *_table(("library", "version"), list(training.libraries.items())))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    yield from (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    first = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"
