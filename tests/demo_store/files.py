"""The example's files, which are what a user would write; the demo changes nothing in them but addresses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "docs" / "examples" / "store-revenue"

FEAST, MLFLOW = "http://feast.shop.svc:6566", "http://mlflow.shop.svc:5000"
"""Where the files say that the servers are; here they are processes beside the cluster."""


def text(name: str, addresses: Mapping[str, str]) -> str:
    """A file of the example with the servers' real addresses."""
    content = (EXAMPLE / name).read_text()
    for written, real in addresses.items():
        content = content.replace(written, real)
    return content
