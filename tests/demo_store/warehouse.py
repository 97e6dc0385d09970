"""The retailer's warehouse: PostgreSQL, with a row for each time that something about a store changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from demo_store.dataset import COLUMNS, Row
from demo_store.files import EXAMPLE
from support.postgres import Postgres, postgres_server


@dataclass(frozen=True)
class Warehouse:
    """A warehouse that runs."""

    server: Postgres

    def fill(self, stores: Mapping[int, Row], recorded: datetime) -> None:
        """Write every store, as of one moment."""
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute((EXAMPLE / "warehouse.sql").read_text())
            values = [(store, recorded, *(row[name] for name in COLUMNS)) for store, row in stores.items()]
            cursor.executemany(f"INSERT INTO stores VALUES (%s, %s{', %s' * len(COLUMNS)})", values)

    def write(self, store: int, row: Row, recorded: datetime) -> None:
        """A store as it is from now on."""
        with self.server.connect() as connection:
            marks = ", %s" * len(COLUMNS)
            values = (store, recorded, *(row[name] for name in COLUMNS))
            connection.execute(f"INSERT INTO stores VALUES (%s, %s{marks})", values)

    def forget(self, store: int, recorded: datetime) -> None:
        """Take a row back that was wrong."""
        with self.server.connect() as connection:
            connection.execute("DELETE FROM stores WHERE store_id = %s AND recorded_at = %s", (store, recorded))


@contextmanager
def open_warehouse(address: str) -> Iterator[Warehouse]:
    """An empty warehouse that this machine and the cluster's pods reach."""
    with postgres_server(address) as server:
        yield Warehouse(server)
