"""What a package holds, for a person to read and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sluice.digest import package_files
from sluice.graph import opsets, read_graph
from sluice.manifest import README_FILE, Card, TensorSpec
from sluice.package import Package


def describe(package: Package) -> dict[str, Any]:
    """All there is to know of a package without running it. Sizes are bytes.

    Raises:
        PackageError: ModelCorrupt.
    """
    graph = read_graph(package.model_path)
    sizes = {path: (package.folder / path).stat().st_size for path in sorted(package_files(package.folder))}
    return {
        "digest": package.digest,
        **package.manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
        "opset": opsets(graph),
        "irVersion": graph.ir_version,
        "producer": f"{graph.producer_name} {graph.producer_version}".strip(),
        "size": sum(sizes.values()),
        "files": sizes,
    }


def as_text(described: dict[str, Any]) -> str:
    """A description as a short table."""
    return "\n".join([f"{described['name']} {described['version']}", *_lines(described)])


def _lines(described: dict[str, Any]) -> Iterator[str]:
    yield _line("digest", described["digest"])
    yield _line("size", f"{_size(described['size'])} in {len(described['files'])} files")
    sets = ", ".join(f"{domain} {version}" for domain, version in described["opset"].items())
    yield _line("opset", f"{sets} (IR {described['irVersion']})")
    if described["producer"]:
        yield _line("made by", described["producer"])
    for kind in ("inputs", "outputs"):
        yield from _tensor_lines(kind, [TensorSpec.model_validate(spec) for spec in described[kind]])
    yield from _card_lines(Card.model_validate(described.get("card", {})))
    if sample := described.get("sample"):
        yield _line("sample", f"replayed: {sample['replayed']}" if "replayed" in sample else "yes")
    if preprocessing := described.get("preprocessing"):
        yield _line("code", f"{preprocessing['entrypoint']}, environment {preprocessing['environment']}")
    if README_FILE in described["files"]:
        yield _line("read", README_FILE)


def _tensor_lines(title: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    width = max((len(spec.name) for spec in specs), default=0)
    for spec in specs:
        yield _line(title, f"{spec.name:<{width}}  {spec.datatype:<6}  {list(spec.shape)}")
        title = ""


def _card_lines(card: Card) -> Iterator[str]:
    texts = card.model_dump(by_alias=True, exclude_none=True, exclude={"metrics", "slices", "fairness", "importance"})
    for key, text in texts.items():
        yield _line(_TITLES.get(key, key), text)
    for name, value in (card.metrics or {}).items():
        yield _line("metric", f"{name} {value:.6g}")
    for item in card.importance or ():
        yield _line("importance", f"{item.variable} {item.share:.1%}")
    if parts := len(card.slices or ()) + len(card.fairness or ()):
        yield _line("evaluated", f"on {parts} slices and groups; --json has them")


_TITLES = {"intendedUse": "use"}


def _line(title: str, text: str) -> str:
    return f"  {title:<12}{text}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
