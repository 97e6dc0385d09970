"""What a database refuses, loses or keeps secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.warehouse.rows import NOW, definitions, known, view
from integrations.warehouse.sources import fill_postgres
from sluice.failures import Reason
from sluice_features.errors import FeaturesError
from sluice_features.materialize import Run, check
from sluice_features.report import Report
from support.ports import free_port
from support.postgres import PASSWORD, Postgres, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as found:
        fill_postgres(found, "stores", known())
        yield found


def checked(folder: Path, dsn: str, **asked: Any) -> Report:
    features = definitions(
        folder, {"warehouse": {"postgres": {"dsn": "${DSN}"}}}, [view("warehouse", **asked)], {"DSN": dsn}
    )
    return check(Run(features.definitions, features.context, NOW))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"table": "none"}, 'relation "none" does not exist'),
        ({"query": "SELECT * FROM stores WHERE"}, "syntax error"),
        ({"query": "SELECT 1/0 AS store_id, now() AS at FROM stores"}, "division by zero"),
        ({"query": "DELETE FROM stores RETURNING *"}, "syntax error"),
        ({"query": "SELECT *, nextval('numbers') AS n FROM stores"}, "read-only transaction"),
        ({"query": "SELECT * FROM stores; DROP TABLE stores; --"}, "syntax error"),
    ],
)
def test_what_the_database_refuses_is_told(asked: Any, words: str, server: Postgres, tmp_path: Path) -> None:
    with server.connect() as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
    with pytest.raises(FeaturesError, match=words) as raised:
        checked(tmp_path, server.dsn, **asked)
    assert raised.value.reason is Reason.FEATURES_INVALID
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM stores").fetchone() == (known().num_rows,)


def test_a_database_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    dsn = f"postgresql://someone:topsecret@127.0.0.1:{free_port()}/shop"
    with pytest.raises(FeaturesError, match="PostgreSQL does not answer") as raised:
        checked(tmp_path, dsn, table="stores")
    assert raised.value.reason is Reason.FEATURES_UNAVAILABLE
    assert "topsecret" not in raised.value.message


def test_a_wrong_password_is_told_and_not_shown(server: Postgres, tmp_path: Path) -> None:
    dsn = server.dsn.replace(PASSWORD, "another-secret")
    with pytest.raises(FeaturesError, match="password authentication failed") as raised:
        checked(tmp_path, dsn, table="stores")
    assert "another-secret" not in raised.value.message
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("dsn", ["host=127.0.0.1 port=zero password=topsecret", "postgresql://a:topsecret@[/"])
def test_a_dsn_that_is_none_is_not_shown(dsn: str, tmp_path: Path) -> None:
    with pytest.raises(FeaturesError) as raised:
        checked(tmp_path, dsn, table="stores")
    assert "topsecret" not in raised.value.message


def test_a_connection_that_is_cut_while_rows_come_may_come_back(server: Postgres, tmp_path: Path) -> None:
    """The query ends its own connection when half of the rows have been sent."""
    cut = (
        "SELECT s.*, CASE WHEN n = 60000 THEN pg_terminate_backend(pg_backend_pid()) END AS gone "
        "FROM generate_series(1, 100000) AS n, LATERAL (SELECT n::bigint AS store_id, now() AS at, 5.0 AS size, "
        "0.5::float AS margin, 3 AS staff, 'Utrecht'::text AS city, true AS is_open) AS s"
    )
    # OFFSET 0 keeps the column that ends it from being dropped because nobody reads it.
    query = f"SELECT * FROM ({cut} OFFSET 0) AS r WHERE gone IS DISTINCT FROM true"
    with pytest.raises(FeaturesError, match="PostgreSQL does not answer: terminating connection") as raised:
        checked(tmp_path, server.dsn, query=query)
    assert raised.value.reason is Reason.FEATURES_UNAVAILABLE


def test_types_that_features_cannot_have_are_a_change_of_type(server: Postgres, tmp_path: Path) -> None:
    query = "SELECT store_id, at, '{}'::json AS size, margin, staff, 7 AS city, is_open::text FROM stores"
    report = checked(tmp_path, server.dsn, query=query)
    assert [(one.column, one.rule) for one in report.violations] == [
        ("size", "type"),
        ("city", "type"),
        ("is_open", "type"),
    ]


def test_times_that_are_no_times_are_refused(server: Postgres, tmp_path: Path) -> None:
    query = "SELECT store_id, 'infinity'::timestamptz AS at, size, margin, staff, city, is_open FROM stores"
    with pytest.raises(FeaturesError, match="timestamp too large"):
        checked(tmp_path, server.dsn, query=query)


def test_nothing_is_left_open(server: Postgres, tmp_path: Path) -> None:
    checked(tmp_path, server.dsn, table="public.stores")
    with psycopg.connect(server.dsn) as connection:
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice features' AND state <> 'idle'"
        assert connection.execute(left).fetchone() == (0,)
