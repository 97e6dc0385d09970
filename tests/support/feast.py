"""A real feature store on this machine: `feast serve` in an environment of its own, over SQLite or Debian's Redis."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from integrations.environments import environment
from integrations.registries.servers import PATIENCE, Server
from localcluster import packages
from support.ports import free_port

FEAST = ("feast[redis]==0.67.0",)

SERVICE = "store-revenue"
"""The feature service of the minimal repository: `size`, `staff`, `city`, `is_open` and `margin` by `store_id`."""

VIEW = "stores"

DEFINITIONS = """\
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Bool, Float32, Float64, Int64, String

store = Entity(name="store_id", join_keys=["store_id"], value_type=ValueType.INT64)
source = FileSource(path="data/never-read.parquet", timestamp_field="event_timestamp")
stores = FeatureView(
    name="stores",
    entities=[store],
    source=PushSource(name="stores_push", batch_source=source),
    schema=[
        Field(name="size", dtype=Float64),
        Field(name="staff", dtype=Int64),
        Field(name="city", dtype=String),
        Field(name="is_open", dtype=Bool),
        Field(name="margin", dtype=Float32),
    ],
)
service = FeatureService(name="store-revenue", features=[stores])
"""

_SETTINGS = """\
project: shop
provider: local
registry: data/registry.db
online_store: {online_store}
entity_key_serialization_version: 3
"""

LASTING = ("--max-requests", "0")
"""Feast's own default ends the only worker after 1,000 requests, and the next one answers after seconds."""

SQLITE = "{type: sqlite, path: data/online.db}"


def minimal_repository(folder: Path, online_store: str = SQLITE) -> Path:
    """A repository of one view; whoever wants another one writes `feature_store.yaml` and definitions of their own."""
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(_SETTINGS.format(online_store=online_store))
    (folder / "definitions.py").write_text(DEFINITIONS)
    return folder


class Feast(Server):
    """A feature server over one repository; it may be killed and started again at the same address."""

    def __init__(self, repository: Path, address: str, arguments: Sequence[str]) -> None:
        port = free_port(address)
        python = _python()
        command = [str(python.with_name("feast")), "serve", "--host", address, "--port", str(port), "--no-access-log"]
        super().__init__([*command, *arguments], port, repository, _environ(python), address)

    def begin(self) -> None:
        """Start it, and wait until it answers."""
        self.start("/health")

    def write(self, rows: Mapping[str, Sequence[Any]], view: str = VIEW) -> None:
        """Put rows, by column, into the online store; `event_timestamp` is one of the columns."""
        body = {"feature_view_name": view, "df": {name: list(column) for name, column in rows.items()}}
        self._post("/write-to-online-store", body)

    def read(self, entities: Mapping[str, Sequence[Any]], service: str = SERVICE) -> Any:
        """What it answers to a look-up."""
        asked = {"feature_service": service, "entities": {name: list(keys) for name, keys in entities.items()}}
        return self._post("/get-online-features", asked).json()

    def _post(self, path: str, body: Any) -> httpx.Response:
        answer = httpx.post(self.url + path, json=body, trust_env=False, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer


def apply(repository: Path) -> None:
    """`feast apply`: let the repository's registry know its definitions."""
    python = _python()
    done = subprocess.run(
        [str(python.with_name("feast")), "apply"],
        cwd=repository,
        env={"HOME": str(repository), **_environ(python)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def feast_server(repository: Path, address: str = "127.0.0.1", arguments: Sequence[str] = LASTING) -> Iterator[Feast]:
    """A feature server over a repository that has been applied, gone afterwards."""
    apply(repository)
    server = Feast(repository, address, arguments)
    try:
        server.begin()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Debian's Redis on a port of its own: what `online_store` says to use it."""
    packages.ensure(("redis-server",))
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with open(folder / "redis.log", "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield f'{{type: redis, connection_string: "127.0.0.1:{port}"}}'
    finally:
        process.kill()
        process.wait(PATIENCE)


def _python() -> Path:
    return environment("feast", FEAST)


def _environ(python: Path) -> dict[str, str]:
    return {"PATH": f"{python.parent}:{os.environ['PATH']}", "FEAST_USAGE": "False"}
