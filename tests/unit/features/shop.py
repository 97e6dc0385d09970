"""A shop's features in a Parquet file: what tests of features change one thing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sluice_features.history import Features, load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

FEATURES: list[dict[str, Any]] = [
    {"name": "size", "datatype": "FP32"},
    {"name": "staff", "datatype": "INT64", "nullable": True},
    {"name": "city", "datatype": "BYTES", "nullable": True},
]
TYPES = {
    "store_id": pa.int64(),
    "at": pa.timestamp("us", "UTC"),
    "written": pa.timestamp("us", "UTC"),
    "size": pa.float64(),
    "staff": pa.int64(),
    "city": pa.string(),
}


def document(**changes: Any) -> dict[str, Any]:
    """Definitions of one view; `changes` are fields of the view."""
    view = {
        "name": "stores",
        "source": "files",
        "entities": ["store_id"],
        "timestamp": "at",
        "features": FEATURES,
        **changes,
    }
    return {
        "project": "shop",
        "store": {"url": "http://feast.test", "batch": 2, "concurrency": 1},
        "entities": [{"name": "store_id"}],
        "sources": {"files": {"parquet": {"tables": "stores.parquet"}}},
        "views": [view],
        "services": [{"name": "store-revenue", "features": ["stores:*"]}],
    }


def rows(count: int = 3, **columns: Any) -> dict[str, Sequence[Any]]:
    """Good rows, each an hour older than the one before; `columns` in place of theirs."""
    good: dict[str, Sequence[Any]] = {
        "store_id": list(range(1, count + 1)),
        "at": [NOW - timedelta(hours=number) for number in range(count)],
        "size": [100.0 + number for number in range(count)],
        "staff": list(range(count)),
        "city": ["Utrecht"] * count,
    }
    return good | columns


def table(columns: Mapping[str, Sequence[Any] | pa.Array]) -> pa.Table:
    """As a warehouse would give it."""
    return pa.table(
        {
            name: values if isinstance(values, pa.Array) else pa.array(values, TYPES.get(name))
            for name, values in columns.items()
        }
    )


def shop(folder: Path, columns: Mapping[str, Sequence[Any] | pa.Array], **changes: Any) -> Features:
    """The features of a folder with these rows."""
    pq.write_table(table(columns), folder / "stores.parquet")
    (folder / "features.yaml").write_text(yaml.safe_dump(document(**changes)))
    return load(folder / "features.yaml", environ={})
