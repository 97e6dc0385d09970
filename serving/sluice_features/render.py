"""A Feast repository from the definitions, so that `feast apply` knows the very views that we write.

Equal definitions give equal files. Feast reads no source by them: rows are brought to it, so the sources that it wants
to see named stand for nothing. What differs between installations (registry, online store) is not ours to guess:
`feature_store.yaml` is written where there is none.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sluice_features.datatypes import DATATYPES
from sluice_features.definitions import EVENT_TIMESTAMP, Definitions, Entity, Service, View

SETTINGS = "feature_store.yaml"
DEFINITIONS = "definitions.py"

_SETTINGS = """\
# Where Feast keeps what it knows and what it serves. Redis and a registry of SQL are for more than one machine:
#   registry: {{registry_type: sql, path: postgresql+psycopg://...}}
#   online_store: {{type: redis, connection_string: "redis:6379", skip_dedup: true}}
# skip_dedup: corrected rows of the same time replace what is there.
project: {project}
provider: local
registry: data/registry.db
online_store: {{type: sqlite, path: data/online.db}}
entity_key_serialization_version: 3
"""

_HEAD = '''\
"""Written by `sluice features render`; changes belong into features.yaml."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, Float32, Float64, Int32, Int64, String

# Feast wants each view to have a source. Nothing is read of it: `sluice features materialize` brings the rows.
'''

_KEY_TYPES = {"INT32": "INT32", "INT64": "INT64", "BYTES": "STRING"}


def render(definitions: Definitions, folder: Path) -> list[Path]:
    """Write the repository; the answer is what was written.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / DEFINITIONS]
    written[0].write_text(feast_definitions(definitions), encoding="utf-8")
    settings = folder / SETTINGS
    if not settings.exists():
        settings.write_text(_SETTINGS.format(project=definitions.project), encoding="utf-8")
        written.append(settings)
    return written


def feast_definitions(definitions: Definitions) -> str:
    """The Python that Feast applies."""
    entities = {entity.name: f"entity_{number}" for number, entity in enumerate(definitions.entities, 1)}
    views = {view.name: f"view_{number}" for number, view in enumerate(definitions.views, 1)}
    parts = [
        _HEAD,
        *(_entity(entity, entities[entity.name]) for entity in definitions.entities),
        *(_view(definitions, view, views[view.name], entities) for view in definitions.views),
        *(_service(definitions, service, number, views) for number, service in enumerate(definitions.services, 1)),
    ]
    return "\n".join(parts)


def _entity(entity: Entity, variable: str) -> str:
    kind = f"ValueType.{_KEY_TYPES[entity.datatype]}"
    told = _described(entity.description)
    return f"{variable} = Entity(name={entity.name!r}, join_keys=[{entity.name!r}], value_type={kind}{told})"


def _view(definitions: Definitions, view: View, variable: str, entities: dict[str, str]) -> str:
    types = {entity.name: DATATYPES[entity.datatype].feast for entity in definitions.entities}
    fields: list[tuple[str, str, str | None]] = [(name, types[name], None) for name in view.entities]
    fields += [(feature.name, feature.type.feast, feature.description) for feature in view.features]
    lines = [
        f"{variable} = FeatureView(",
        f"    name={view.name!r},",
        f"    entities=[{', '.join(entities[name] for name in view.entities)}],",
        f"    ttl={_age(view.max_age)},",
        "    schema=[",
        *(f"        Field(name={name!r}, dtype={kind}{_described(text)})," for name, kind, text in fields),
        "    ],",
        f"    source=FileSource(name={view.name + '_rows'!r}, path='data/{view.name}.parquet', "
        f"timestamp_field={EVENT_TIMESTAMP!r}),",
        *([f"    description={view.description!r},"] if view.description else []),
        *([f"    owner={view.owner!r},"] if view.owner else []),
        ")",
    ]
    return "\n".join(lines)


def _service(definitions: Definitions, service: Service, number: int, views: dict[str, str]) -> str:
    chosen: dict[str, list[str]] = {}
    for view, feature in definitions.chosen(service):
        chosen.setdefault(view.name, []).append(feature.name)
    features = ", ".join(f"{views[view]}[{names!r}]" for view, names in chosen.items())
    return (
        f"service_{number} = FeatureService(name={service.name!r}, features=[{features}]"
        f"{_described(service.description)})\n"
    )


def _described(text: str | None) -> str:
    return f", description={text!r}" if text else ""


def _age(duration: timedelta | None) -> str:
    # 0 is Feast's word for no limit.
    whole = duration or timedelta(0)
    return f"timedelta(days={whole.days}, seconds={whole.seconds}, microseconds={whole.microseconds})"
