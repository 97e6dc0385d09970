"""How much memory DuckDB may take: it goes to disk beyond that, and the process must not be killed before it does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import duckdb
from pydantic import ByteSize, TypeAdapter, ValidationError

from sluice_features.errors import FeaturesError, invalid

VARIABLE = "SLUICE_FEATURES_MEMORY"
"""Says it otherwise, in DuckDB's words: 512MB, 4GB."""

LEAST, MOST = 256 * 1024**2, 1024**3

READ_VARIABLE = "SLUICE_FEATURES_READ_MEMORY"
"""Says otherwise how much is held of a Delta table, or of Parquet by URI, while it is read: 64MB."""

LEAST_READ, MOST_READ = 32 * 1024**2, 256 * 1024**2
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def duckdb_memory(environ: Mapping[str, str] = os.environ, limits: Iterable[Path] = _LIMITS) -> str:
    """A quarter of what the container may have, since it is taken twice, by source and stage, and Arrow and Python take
    theirs; between LEAST and MOST.
    """
    if chosen := environ.get(VARIABLE):
        return chosen
    return f"{min(MOST, max(LEAST, _container(limits) // 4)) // 1024**2}MiB"


def read_memory(environ: Mapping[str, str] = os.environ, limits: Iterable[Path] = _LIMITS) -> int:
    """Bytes of a table that are held while it is read where DuckDB does not read it itself: an eighth of what the
    container may have, between LEAST_READ and MOST_READ.

    Raises:
        FeaturesError: FeaturesInvalid where READ_VARIABLE holds no amount of memory.
    """
    if chosen := environ.get(READ_VARIABLE):
        try:
            return max(1, int(TypeAdapter(ByteSize).validate_python(chosen)))
        except ValidationError as error:
            raise invalid(f"{READ_VARIABLE} is {chosen!r}, which is no amount of memory; write 64MB") from error
    return min(MOST_READ, max(LEAST_READ, _container(limits) // 8))


def duckdb_settings() -> dict[str, str]:
    """DuckDB's settings, wherever it is used here. Each thread holds memory of its own, and a node may have many
    processors.
    """
    return {
        "memory_limit": duckdb_memory(),
        "threads": str(min(4, os.cpu_count() or 1)),
        # Groups of rows are as large as whoever wrote them liked: they are read a page at a time.
        "disable_parquet_prefetching": "true",
        # Nothing is installed while a job runs.
        "autoinstall_known_extensions": "false",
        # It would stand in the command's answer.
        "enable_progress_bar": "false",
        "TimeZone": "UTC",
    }


def configure(connection: duckdb.DuckDBPyConnection, more: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make the settings, and `more`, those of a connection.

    Raises:
        FeaturesError: FeaturesInvalid where VARIABLE holds no amount of memory.
    """
    for name, value in {**more, **duckdb_settings()}.items():
        literal = value.replace("'", "''")
        try:
            connection.execute(f"SET {name} = '{literal}'")
        except duckdb.Error as error:
            words = " ".join(str(error).split())
            raise invalid(f"DuckDB does not take {name} = {value} ({words}); check {VARIABLE}") from error


def too_little_memory(error: Exception) -> FeaturesError:
    """What to do about DuckDB's own error, which comes where a few rows of many columns are more than it may hold."""
    words = " ".join(str(error).partition("\n")[0].split())
    return invalid(
        f"{words}; give the job more memory, or set {VARIABLE} (now {duckdb_memory()}), or read fewer columns"
    )


def _container(limits: Iterable[Path]) -> int:
    return min((_bytes(path) for path in limits), default=MOST)


def _bytes(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return MOST * 4
    return int(text) if text.isdecimal() else MOST * 4
