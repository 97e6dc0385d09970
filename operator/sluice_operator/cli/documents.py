"""YAML as Kubernetes reads it, with the line that each field stands on: repeated keys are mistakes, dates are text."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sluice_operator.cli.errors import UnreadableError

SUFFIXES = (".yaml", ".yml", ".json")
Place = tuple[str | int, ...]


class RepeatedKeyError(yaml.constructor.ConstructorError):
    """A key that stands twice in one mapping: one of the two would be ignored."""


class _Loader(yaml.SafeLoader):
    """Reads what kubectl reads: no dates, no repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise RepeatedKeyError(None, None, f'key "{key.value}" already set in map', key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """One object of a file. `repeated` says which key stands twice, if one does."""

    source: str
    value: Any
    node: yaml.Node
    repeated: str = ""

    def line(self, place: Place) -> int:
        """The line (from 1) of a field, or of the nearest that is there."""
        node = self.node
        found = node.start_mark.line
        for part in place:
            key, below = _child(node, part)
            if below is None:
                break
            node, found = below, key.start_mark.line if key is not None else below.start_mark.line
        return found + 1


def read(source: str, text: str) -> Iterator[Document]:
    """The objects of a text, those of Lists one by one; raises UnreadableError where it is no YAML."""
    try:
        for document in _documents(source, text):
            yield from _items(document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise UnreadableError(f"{source}{where}: no YAML: {getattr(error, 'problem', None) or error}") from error


def _documents(source: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            try:
                yield Document(source, loader.construct_document(node), node)
            except RepeatedKeyError as error:
                mark = error.problem_mark
                at = f" (line {mark.line + 1})" if mark else ""
                yield Document(source, yaml.safe_load(yaml.serialize(node)), node, f"{error.problem}{at}")
    finally:
        loader.dispose()


def _items(document: Document) -> Iterator[Document]:
    value = document.value
    if not (isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list)):
        yield document
        return
    _, items = _child(document.node, "items")
    for index, item in enumerate(value["items"]):
        _, node = _child(items, index) if items is not None else (None, None)
        yield Document(document.source, item, node or document.node, document.repeated)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next(((key, below) for key, below in node.value if key.value == part), (None, None))
    return None, None


def files(named: str) -> Sequence[Path]:
    """The manifests that a path names; raises UnreadableError where there is none."""
    path = Path(named)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and not _hidden(p.relative_to(path)))
        if not found:
            raise UnreadableError(f"{named} holds no {', '.join(SUFFIXES)} file")
        return found
    if not path.is_file():
        raise UnreadableError(f"{named} does not exist")
    return [path]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
