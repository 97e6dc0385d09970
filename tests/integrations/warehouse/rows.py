"""The same rows for every kind of source, and the one view that reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sluice_features.history import Features, load

NOW = datetime.now(UTC).replace(microsecond=123456)
STORES, DAYS = 40, 5

FEATURES: list[dict[str, Any]] = [
    {"name": "size", "datatype": "FP32", "minimum": 1},
    {"name": "margin", "datatype": "FP64", "nullable": True},
    {"name": "staff", "datatype": "INT64", "nullable": True},
    {"name": "city", "datatype": "BYTES", "categories": ["Utrecht", "'s-Hertogenbosch"]},
    {"name": "is_open", "datatype": "BOOL"},
]


def known() -> pa.Table:
    """Each store on each of five days; the last day is today."""
    stores = [(store, day) for day in range(DAYS) for store in range(1, STORES + 1)]
    return pa.table(
        {
            "store_id": pa.array([store for store, _ in stores], pa.int64()),
            "at": pa.array([NOW - timedelta(days=DAYS - 1 - day) for _, day in stores], pa.timestamp("us", "UTC")),
            "size": [100.5 + store + day for store, day in stores],
            "margin": [None if store % 7 == 0 else store / 3 for store, _ in stores],
            "staff": pa.array([None if store % 5 == 0 else store + day for store, day in stores], pa.int64()),
            "city": ["'s-Hertogenbosch" if store % 2 else "Utrecht" for store, _ in stores],
            "is_open": [store % 3 == 0 for store, _ in stores],
        }
    )


def view(source: str, **asked: Any) -> dict[str, Any]:
    """A view of a source, called as it is."""
    return {
        "name": source,
        "source": source,
        "entities": ["store_id"],
        "timestamp": "at",
        "maxAge": "30d",
        "features": FEATURES,
        **asked,
    }


def definitions(
    folder: Path,
    sources: dict[str, Any],
    views: list[dict[str, Any]],
    environ: dict[str, str] | None = None,
    concurrency: int = 1,
) -> Features:
    """A features.yaml in a folder, with a service for each view."""
    document = {
        "project": "shop",
        "store": {"url": "http://127.0.0.1:1", "batch": 16, "concurrency": concurrency},
        "entities": [{"name": "store_id"}],
        "sources": sources,
        "views": views,
        "services": [{"name": one["name"], "features": [f"{one['name']}:*"]} for one in views],
    }
    (folder / "features.yaml").write_text(yaml.safe_dump(document))
    return load(folder / "features.yaml", environ or {})
