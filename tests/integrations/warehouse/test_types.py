"""Keys and features of every type, as Feast's own server keeps them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from integrations.warehouse.rows import NOW
from sluice_features.history import Features, load
from sluice_features.materialize import Run, materialize
from sluice_features.online import OnlineStore
from sluice_features.render import render
from support.feast import SQLITE, Feast, feast_server, redis_server

VALUES: dict[str, pa.Array] = {
    "a_bool": pa.array([True, None, False]),
    "an_int32": pa.array([-(2**31), None, 2**31 - 1], pa.int32()),
    "an_int64": pa.array([-(2**63), 0, 2**63 - 1], pa.int64()),
    "a_gap": pa.array([2**53, None, -(2**53)], pa.int64()),
    "an_fp32": pa.array([0.1, None, 3.4e38], pa.float32()),
    "an_fp64": pa.array([0.1, None, 1.7976931348623157e308], pa.float64()),
    "a_text": pa.array(["é", None, "line\nbreak '\" \\ 🙂"]),
}
DATATYPES = {"a_bool": "BOOL", "an_int32": "INT32", "an_int64": "INT64", "a_gap": "INT64"}
DATATYPES |= {"an_fp32": "FP32", "an_fp64": "FP64", "a_text": "BYTES"}
KEYS = {"chain": pa.array(["a", "a", "ü b"]), "floor": pa.array([1, -2, 2**31 - 1], pa.int32())}


def everything(folder: Path, url: str = "http://127.0.0.1:1") -> Features:
    at = pa.array([NOW, NOW - timedelta(hours=1), NOW], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**KEYS, **VALUES, "at": at}), folder / "rows.parquet")
    features = [
        {"name": name, "datatype": kind, "nullable": name != "an_int64", "description": f'A {kind}\'s "value"'}
        for name, kind in DATATYPES.items()
    ]
    view = {"name": "types", "source": "files", "entities": list(KEYS), "timestamp": "at", "features": features}
    document = {
        "project": "shop",
        "store": {"url": url},
        "entities": [{"name": "chain", "datatype": "BYTES"}, {"name": "floor", "datatype": "INT32"}],
        "sources": {"files": {"parquet": {"tables": "rows.parquet"}}},
        "views": [view | {"maxAge": "2d"}],
        "services": [{"name": "types-of-all", "features": ["types:*"]}],
    }
    (folder / "features.yaml").write_text(yaml.safe_dump(document))
    return load(folder / "features.yaml", {})


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(f"types-{request.param}")
    repository = folder / "feast"
    render(everything(folder).definitions, repository)
    (repository / "data").mkdir()
    if request.param == "sqlite":
        with feast_server(repository) as found:
            yield found
        return
    settings = repository / "feature_store.yaml"
    with redis_server(folder) as online_store:
        settings.write_text(settings.read_text().replace(SQLITE, online_store))
        with feast_server(repository) as found:
            yield found


def test_values_of_every_type_come_back(server: Feast, tmp_path: Path) -> None:
    features = everything(tmp_path, server.url)
    assert features.definitions.store is not None
    with OnlineStore(features.definitions.store, features.context) as store:
        report = materialize(Run(features.definitions, features.context, NOW), store)
    assert report.result == "Written", report.message
    answer = server.read({name: values.to_pylist() for name, values in KEYS.items()}, "types-of-all")
    names = answer["metadata"]["feature_names"]
    found = {name: result["values"] for name, result in zip(names, answer["results"], strict=True)}
    for name, values in VALUES.items():
        assert pa.array(found[name], values.type) == values, name
