"""Opens the source of a view, whatever kind it is of."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sluice_features.definitions import Definitions, View
from sluice_features.sources.reading import Context, Reading


def opened(definitions: Definitions, view: View, context: Context) -> AbstractContextManager[Reading]:
    """A view's rows in its source.

    Raises:
        FeaturesError: FeaturesInvalid or FeaturesUnavailable, also while it is read.
    """
    source = definitions.sources[view.source]
    # Each kind's library is imported where it is used: drivers are slow to come.
    if source.postgres is not None:
        from sluice_features.sources.postgres import open_postgres  # noqa: PLC0415

        return open_postgres(source.postgres, definitions, view, context)
    if source.http is not None:
        from sluice_features.sources.http import open_http  # noqa: PLC0415

        return open_http(source.http, definitions, view, context)
    from sluice_features.sources.in_duckdb import open_duckdb, open_files  # noqa: PLC0415

    if source.duckdb is not None:
        return open_duckdb(source.duckdb, view.query, view.table, context)
    if source.spark is not None:
        from sluice_features.sources.spark import output_of  # noqa: PLC0415

        return open_files(output_of(source.spark, view, context), None, None, context)
    files = source.parquet or source.delta
    assert files is not None, "a source has one kind"  # noqa: S101 its type says so
    return open_files(files, view.query, view.table, context)
