"""`sluice validate`: what the API server would refuse, told before anything is merged."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from sluice_operator.api.resource import API_VERSION, GROUP, KIND
from sluice_operator.cli.documents import Document, files, read
from sluice_operator.cli.errors import UnreadableError
from sluice_operator.cli.schema import Mistake, mistakes


def run(sources: Iterable[str], as_json: bool) -> int:
    """Check everything named. Returns 1 where mistakes were found; raises UnreadableError where nothing was checked."""
    documents = [document for source in sources for document in _read(source)]
    mine = [document for document in documents if _is_ours(document.value)]
    if not mine:
        raise UnreadableError(f"no {KIND} among {len(documents)} documents: nothing was checked")
    found = [told for document in mine for told in check(document)]
    if as_json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        _print(found, len(mine), len(documents) - len(mine))
    return int(bool(found))


def check(document: Document) -> list[dict[str, Any]]:
    """The mistakes of one ModelDeployment, in the order of their lines."""
    name = (document.value.get("metadata") or {}).get("name", "") if isinstance(document.value, dict) else ""
    told = [
        {"file": document.source, "line": document.line(m.place), "name": name, "path": m.path, "message": m.message}
        for m in _mistakes(document)
    ]
    return sorted(told, key=lambda entry: entry["line"])


def _mistakes(document: Document) -> Iterator[Mistake]:
    if document.repeated:
        yield Mistake((), document.repeated)
    version = document.value.get("apiVersion")
    if version != API_VERSION:
        yield Mistake(("apiVersion",), f"Invalid value: {version}: this version of Sluice knows {API_VERSION}")
        return
    yield from mistakes(document.value)


def _is_ours(value: Any) -> bool:
    group = str(value.get("apiVersion", "")).partition("/")[0] if isinstance(value, dict) else ""
    return group == GROUP and value.get("kind") == KIND


def _read(source: str) -> Iterator[Document]:
    if source == "-":
        yield from read("<stdin>", sys.stdin.read())
        return
    for path in files(source):
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableError(f"{path}: {error}") from error
        yield from read(str(path), text)


def _print(found: list[dict[str, Any]], checked: int, others: int) -> None:
    for told in found:
        where = f"{told['path']}: " if told["path"] else ""
        print(f"{told['file']}:{told['line']}: {told['name']}: {where}{told['message']}")
    wrong = len({(told["file"], told["name"]) for told in found})
    passed = f", {others} other documents passed over" if others else ""
    print(f"{checked} {KIND}s checked, {wrong} with mistakes{passed}", file=sys.stderr)
