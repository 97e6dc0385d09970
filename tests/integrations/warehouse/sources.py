"""One real source of each kind, with the same rows in it."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from support.postgres import Postgres, postgres_server

POSTGRES_TYPES = {
    "store_id": "bigint",
    "at": "timestamptz",
    "size": "numeric(9, 2)",
    "margin": "double precision",
    "staff": "smallint",
    "city": "varchar(40)",
    "is_open": "boolean",
}


@dataclass(frozen=True)
class Made:
    """A source: what definitions say of it, what a view of it asks, and what is in the environment."""

    source: dict[str, Any]
    asked: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)


def fill_postgres(server: Postgres, table: str, rows: pa.Table) -> None:
    """A table of these rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in POSTGRES_TYPES.items())
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({columns})".encode())
        with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows.select(list(POSTGRES_TYPES)).to_pylist():
                copy.write_row(tuple(row.values()))


@contextlib.contextmanager
def postgres(folder: Path, rows: pa.Table) -> Iterator[Made]:
    with postgres_server() as server:
        fill_postgres(server, "stores", rows)
        # As people write it: a comment and a semicolon at the end, and a percent sign that is no parameter.
        query = "WITH s AS (SELECT * FROM stores) SELECT *, 7 % 4 AS extra FROM s -- all of them;"
        yield Made({"postgres": {"dsn": "${WAREHOUSE}"}}, {"query": query}, {"WAREHOUSE": server.dsn})


@contextlib.contextmanager
def in_duckdb(folder: Path, rows: pa.Table) -> Iterator[Made]:
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.register("given", rows)
        connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.stores AS SELECT * FROM given")
    yield Made({"duckdb": {"path": "warehouse.duckdb"}}, {"table": "shop.stores"})


@contextlib.contextmanager
def parquet(folder: Path, rows: pa.Table) -> Iterator[Made]:
    (folder / "files").mkdir()
    for number in range(0, rows.num_rows, 50):
        pq.write_table(rows.slice(number, 50), folder / "files" / f"part-{number}.parquet")
    (folder / "files" / "README").write_text("not Parquet")
    yield Made({"parquet": {"tables": "files/part-*.parquet"}}, {"query": "SELECT * FROM data WHERE store_id > 0;"})


@contextlib.contextmanager
def delta(folder: Path, rows: pa.Table) -> Iterator[Made]:
    place = str(folder / "delta")
    # Its first version is another one, which must not be seen.
    deltalake.write_deltalake(place, rows.slice(0, 3), partition_by=["city"])
    deltalake.write_deltalake(place, rows, mode="overwrite")
    yield Made({"delta": {"tables": {"stores": "delta"}}}, {"table": "stores"})


class Api:
    """A JSON API on loopback; `answer` gives status, headers and body for a path."""

    def __init__(self, answer: Callable[[str, Any], tuple[int, dict[str, str], bytes]]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answer(self.path, self.headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Api:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def pages(rows: pa.Table, size: int = 60) -> Callable[[str, Any], tuple[int, dict[str, str], bytes]]:
    """Rows as an API of pages gives them, to whom it knows."""
    listed = [row | {"at": row["at"].isoformat(), "size": {"m2": row["size"]}} for row in rows.to_pylist()]

    def answer(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        if headers["Authorization"] != "Bearer of-the-api":
            return 401, {}, b""
        first = int(path.partition("?from=")[2] or 0)
        following = f"/stores?from={first + size}" if first + size < len(listed) else None
        page = {"data": {"items": listed[first : first + size]}, "next": following}
        return 200, {}, json.dumps(page).encode()

    return answer


@contextlib.contextmanager
def api(folder: Path, rows: pa.Table) -> Iterator[Made]:
    with Api(pages(rows)) as served:
        source = {
            "url": f"{served.url}/stores",
            "headers": {"Authorization": "Bearer ${TOKEN}"},
            "rows": "data.items",
            "next": "next",
            "fields": {"size": "size.m2"},
        }
        yield Made({"http": source}, environ={"TOKEN": "of-the-api"})


KINDS: dict[str, Callable[[Path, pa.Table], contextlib.AbstractContextManager[Made]]] = {
    "postgres": postgres,
    "duckdb": in_duckdb,
    "parquet": parquet,
    "delta": delta,
    "http": api,
}
