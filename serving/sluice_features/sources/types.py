"""The sources that `features.yaml` may name. Exactly one kind each; what a kind cannot do is refused, never ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from sluice_features.durations import Duration
from sluice_features.secrets import holds_password, names_variable

ONLY_TABLE = "data"
"""What queries call the table of a source that has one."""


_CREDENTIALS = re.compile(r"auth|cookie|token|secret|password|key|session|signature", re.IGNORECASE)
"""In the names of headers by which servers know who asks."""


def _without_passwords(text: str) -> str:
    if holds_password(text):
        raise ValueError("credentials come from the environment: write ${NAME} in place of the password")
    return text


def _without_credentials(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if _CREDENTIALS.search(name) and not names_variable(value):
            raise ValueError(f"credentials come from the environment: write ${{NAME}} in header {name}")
    return headers


def _tables(given: object) -> object:
    return {ONLY_TABLE: given} if isinstance(given, str) else given


Place = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_without_passwords)]
"""A path (a relative one begins where `features.yaml` lies) or a URI; `${NAME}` stands for a variable."""

Tables = Annotated[
    dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], Place],
    BeforeValidator(_tables),
    Field(min_length=1, max_length=64),
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Postgres(_Strict):
    """A PostgreSQL database, or one that speaks its protocol. Read in one transaction that may only read."""

    dsn: Place


class DuckDb(_Strict):
    """A DuckDB file, opened to read alone."""

    path: Place


class Parquet(_Strict):
    """Parquet files: a file, a folder (`key=value` folders are columns), a pattern, or a URI (s3://, gs://); several by
    the names that queries, which are DuckDB's, know them by. One alone is called `data`.
    """

    tables: Tables


class Delta(_Strict):
    """Delta tables, each at its latest version: a folder or a URI (s3://, gs://, abfss://); named as Parquet's are."""

    tables: Tables


class Http(_Strict):
    """A JSON API: pages of objects, one a row. `rows`: where in an answer the list is (`data.items`); `next`: where the
    URL of the next page is; `fields`: the path of each column that is not called as its field is.
    """

    url: Place
    headers: Annotated[Mapping[str, str], AfterValidator(_without_credentials)] = Field(default_factory=dict)
    rows: str = ""
    next: str = ""
    fields: dict[str, str] = Field(default_factory=dict)
    max_pages: int = Field(default=10_000, ge=1)
    timeout: Duration = timedelta(seconds=30)


class Spark(_Strict):
    """What a Spark job wrote: `sluice features render` writes the job, which runs a view's query as Spark SQL and
    leaves Parquet below `output`. A view is read where its own query wrote, so that a changed query is never mixed up
    with what an older one left.
    """

    output: Place


class Source(_Strict):
    """A source of one of these kinds."""

    postgres: Postgres | None = None
    duckdb: DuckDb | None = None
    parquet: Parquet | None = None
    delta: Delta | None = None
    http: Http | None = None
    spark: Spark | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    def check(self, view: str, query: str | None, table: str | None) -> None:
        """Refuse what a view cannot ask of this source.

        Raises:
            ValueError: saying what to change.
        """
        asked = query is not None or table is not None
        if self.http is not None and asked:
            raise ValueError(f"view {view}: an HTTP source has neither tables nor queries; its URL says what it gives")
        if self.spark is not None and query is None:
            raise ValueError(f"view {view}: a Spark source needs a query, in Spark's SQL")
        if (self.postgres or self.duckdb) and not asked:
            raise ValueError(f"view {view}: give a query or a table")
        files = self.parquet or self.delta
        if files is not None and not asked and list(files.tables) != [ONLY_TABLE]:
            raise ValueError(f"view {view}: its source has several tables; give a query or a table")
        if files is not None and table is not None and table not in files.tables:
            raise ValueError(f"view {view}: its source has no table {table}")
