"""`features.yaml`: what features there are, where they are read, what must hold of them, and who is served which.

One file for the online store, for training and for Feast, so that all of them mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from sluice.contract import Value
from sluice.manifest import explain
from sluice_features.datatypes import DATATYPES, Datatype, KeyType, ValueType
from sluice_features.durations import Duration
from sluice_features.errors import invalid
from sluice_features.sources.types import Source

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
ServiceName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$")]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_*][A-Za-z0-9_]*$")]
"""`view:feature`, or `view:*` for all of a view."""

RESERVED = "sluice_"
"""What columns of our own begin with."""

EVENT_TIMESTAMP = "event_timestamp"
"""What Feast calls a row's time, and what training data call that of an example where nothing else is said."""


def _own_names_apart(name: str) -> str:
    if name.lower().startswith(RESERVED):
        raise ValueError(f"names that begin with {RESERVED} are taken")
    return name


Column = Annotated[Name, AfterValidator(_own_names_apart)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )


class Store(_Strict):
    """The feature store: a feature server of Feast's. `url`: shown in messages, so no place for a password; `token`:
    `${NAME}` of a variable with a bearer token; `ca`: file with the certificate of a private CA; `batch`: rows in one
    write; `concurrency`: writes under way at once, where the online store takes several; `timeout`: for each write.
    """

    url: str = Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    token: str | None = Field(default=None, pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$")
    ca: str | None = None
    batch: int = Field(default=1000, ge=1, le=100_000)
    concurrency: int = Field(default=1, ge=1, le=32)
    timeout: Duration = timedelta(seconds=60)


class Entity(_Strict):
    """A key: the column that holds it in every view, and its type."""

    name: Column
    datatype: KeyType = "INT64"
    description: str | None = None


class Outliers(_Strict):
    """How many values may lie far from the others: at most `share` of them.

    iqr: further than `factor` times the distance between the quartiles outside of these (Tukey's fences; 3: far out).
    zscore: more than `factor` standard deviations from the mean.
    """

    method: Literal["iqr", "zscore"] = "iqr"
    factor: float = Field(default=3.0, gt=0)
    share: Share = 0.01


class Feature(_Strict):
    """A feature: a column, its type, and what must hold of its values. Missing: null, NaN or empty text.

    `maxMissing`: the largest share of rows that may lack it, where it is `nullable`.
    """

    name: Column
    datatype: ValueType
    nullable: bool = False
    max_missing: Share = 1.0
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Value, ...] | None = Field(default=None, min_length=1, max_length=4096)
    outliers: Outliers | None = None
    description: str | None = None

    @property
    def type(self) -> Datatype:
        """Its type everywhere."""
        return DATATYPES[self.datatype]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        numeric = self.type.family in ("integer", "real")
        if not numeric and (self.minimum, self.maximum, self.outliers) != (None, None, None):
            raise ValueError("minimum, maximum and outliers are for numbers")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is larger than maximum")
        if not self.nullable and self.max_missing < 1.0:
            raise ValueError("maxMissing is for nullable features")
        wanted = {"text": str, "boolean": bool}.get(self.type.family, (int, float))
        if any(not isinstance(value, wanted) or (numeric and value is True) for value in self.categories or ()):
            raise ValueError(f"categories are values of {self.datatype}")
        return self


class View(_Strict):
    """Features of the same keys, read together: a table or a query of a source, one row for each key and moment.

    `timestamp`: from when on a row was true. `created`: when the row was written; of several rows for the same key and
    moment the one written last counts, and without it there must not be several. `knownFrom: created`: training sees a
    row only from when it was written on, too. `maxAge`: an older row counts for nothing, neither online nor in
    training. `minRows`, `fresh`: what a reading must bring at least, and how old its newest row may be.
    `extraColumns`: what becomes of columns that nobody asked for.
    """

    name: Name
    source: str
    query: str | None = Field(default=None, min_length=1)
    table: str | None = Field(default=None, min_length=1)
    entities: tuple[Name, ...] = Field(min_length=1, max_length=16)
    timestamp: Column
    created: Column | None = None
    known_from: Literal["timestamp", "created"] = "timestamp"
    max_age: Duration | None = None
    features: tuple[Feature, ...] = Field(min_length=1, max_length=1000)
    min_rows: int = Field(default=1, ge=0)
    fresh: Duration | None = None
    extra_columns: Literal["Ignore", "Refuse"] = "Ignore"
    description: str | None = None
    owner: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All that is read of a source's row."""
        own = (self.timestamp,) if self.created is None else (self.timestamp, self.created)
        return (*self.entities, *own, *(feature.name for feature in self.features))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _unique("columns", [column.lower() for column in self.columns])
        if EVENT_TIMESTAMP in {*self.entities, *(feature.name for feature in self.features)}:
            raise ValueError(f"{EVENT_TIMESTAMP} is Feast's name of a row's time; call the column something else")
        if self.query is not None and self.table is not None:
            raise ValueError("give a query or a table")
        if self.known_from == "created" and self.created is None:
            raise ValueError("knownFrom: created needs the column `created`")
        return self


class Service(_Strict):
    """What a model is given: features of views, `view:feature` or `view:*`. Their names differ from each other."""

    name: ServiceName
    features: tuple[Reference, ...] = Field(min_length=1, max_length=4096)
    description: str | None = None


class Definitions(_Strict):
    """A whole `features.yaml`. `project`: Feast's word for all that belongs together."""

    project: Name
    store: Store | None = None
    entities: tuple[Entity, ...] = Field(min_length=1)
    sources: dict[Name, Source] = Field(min_length=1)
    views: tuple[View, ...] = Field(min_length=1)
    services: tuple[Service, ...] = ()

    @model_validator(mode="after")
    def _refer_to_what_there_is(self) -> Self:
        _unique("entities", [entity.name for entity in self.entities])
        _unique("views", [view.name for view in self.views])
        _unique("services", [service.name for service in self.services])
        keys = {entity.name for entity in self.entities}
        for view in self.views:
            if missing := set(view.entities) - keys:
                raise ValueError(f"view {view.name}: no entity is called {', '.join(sorted(missing))}")
            if view.source not in self.sources:
                raise ValueError(f"view {view.name}: no source is called {view.source}")
            self.sources[view.source].check(view.name, view.query, view.table)
        for service in self.services:
            _unique(f"service {service.name}: features", [feature.name for _, feature in self.chosen(service)])
        return self

    def chosen(self, service: Service) -> list[tuple[View, Feature]]:
        """The features of a service, in its order."""
        return [pair for reference in service.features for pair in self._referred(service, reference)]

    def _referred(self, service: Service, reference: str) -> list[tuple[View, Feature]]:
        name, _, wanted = reference.partition(":")
        view = next((view for view in self.views if view.name == name), None)
        found = [] if view is None else [(view, one) for one in view.features if wanted in ("*", one.name)]
        if not found:
            raise ValueError(f"service {service.name}: there is no {reference}")
        return found

    def service(self, name: str) -> Service:
        """The service of this name.

        Raises:
            FeaturesError: FeaturesInvalid, with the names that there are.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise invalid(f"no service is called {name}; there are: {_listed(service.name for service in self.services)}")

    def selected(self, names: Iterable[str] = ()) -> tuple[View, ...]:
        """The views of these names, all where none is given; raises as `service` does."""
        wanted = tuple(names)
        if missing := set(wanted) - {view.name for view in self.views}:
            known = _listed(view.name for view in self.views)
            raise invalid(f"no view is called {', '.join(sorted(missing))}; there are: {known}")
        return tuple(view for view in self.views if not wanted or view.name in wanted)

    def keys(self, view: View) -> list[tuple[str, Datatype]]:
        """A view's keys and their types, in its order."""
        types = {entity.name: DATATYPES[entity.datatype] for entity in self.entities}
        return [(name, types[name]) for name in view.entities]


def read_definitions(path: Path) -> Definitions:
    """Read and check a `features.yaml`.

    Raises:
        FeaturesError: FeaturesInvalid, naming the field that does not fit.
    """
    try:
        return Definitions.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise invalid(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise invalid(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise invalid(f"{path.name}: {explain(error)}") from error


def _unique(what: str, names: list[str]) -> None:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{what} repeat: {', '.join(sorted(repeated))}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
