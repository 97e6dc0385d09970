"""Golden files: YAML as it is written to the cluster, so that a diff shows what would change there."""

import os
from pathlib import Path

import yaml


class _Literal(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows the line that changed, and repeats what repeats."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Literal.add_representer(str, _block)


def compare(path: Path, documents: list[object]) -> None:
    """Whether the documents are those of the file; with UPDATE_GOLDEN set they become it."""
    text = yaml.dump_all(documents, Dumper=_Literal, sort_keys=False, width=120)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
