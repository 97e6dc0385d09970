"""A feature server over the repository that `sluice features render` writes, for each online store of Feast."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.warehouse.rows import NOW, view
from integrations.warehouse.sources import KINDS
from sluice_features.definitions import Definitions, Store
from sluice_features.history import Features
from sluice_features.materialize import Run, materialize
from sluice_features.online import OnlineStore
from sluice_features.render import render
from sluice_features.report import Report
from support.feast import SQLITE, Feast, feast_server, redis_server

VIEWS = (*KINDS, "spark", "stores")
"""What the feature server knows: a view for each kind of source, and one for tests of the store itself."""


@dataclass(frozen=True)
class Online:
    """A feature server and its repository."""

    server: Feast
    repository: Path

    def bring(self, features: Features, **wanted: Any) -> Report:
        """Materialize; `wanted` as of `Run`."""
        known = features.definitions.store
        assert known is not None
        store = Store.model_validate(known.model_dump() | {"url": self.server.url})
        with OnlineStore(store, features.context) as online:
            return materialize(Run(features.definitions, features.context, NOW, **wanted), online)

    def values(self, service: str, keys: list[int]) -> dict[str, list[Any]]:
        """What it answers, by feature."""
        answer = self.server.read({"store_id": keys}, service)
        names = answer["metadata"]["feature_names"]
        return {name: result["values"] for name, result in zip(names, answer["results"], strict=True)}


@contextlib.contextmanager
def online(folder: Path, online_store: str) -> Iterator[Online]:
    """A feature server that knows VIEWS."""
    document = {
        "project": "shop",
        "entities": [{"name": "store_id"}],
        "sources": {"any": {"duckdb": {"path": "none"}}},
        "views": [view(name, table="t") | {"source": "any"} for name in VIEWS],
        "services": [{"name": name, "features": [f"{name}:*"]} for name in VIEWS],
    }
    repository = folder / "feast"
    render(Definitions.model_validate(document), repository)
    (repository / "data").mkdir()
    settings = repository / "feature_store.yaml"
    settings.write_text(settings.read_text().replace(SQLITE, online_store))
    with feast_server(repository) as server:
        yield Online(server, repository)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Online]:
    with online(tmp_path_factory.mktemp("sqlite"), SQLITE) as found:
        yield found


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Online]:
    folder = tmp_path_factory.mktemp("redis")
    with (
        redis_server(folder) as online_store,
        online(folder, online_store.replace("}", ", skip_dedup: true}")) as found,
    ):
        yield found


@pytest.fixture(scope="session")
def careful_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Online]:
    """Redis as Feast has it by itself: a row of the same time stays."""
    folder = tmp_path_factory.mktemp("careful-redis")
    with redis_server(folder) as online_store, online(folder, online_store) as found:
        yield found
