"""Features for training: joined to the rows as they were known at each row's time, and told in the package."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from sluice.contract import Entity, Feature, FeatureReferences
from sluice.model import Model
from sluice_features.definitions import Definitions
from sluice_features.errors import FeaturesError
from sluice_features.history import load
from sluice_training.declared import checked_features
from sluice_training.errors import AwayError, TrainingError
from sluice_training.guarding import guarded


def joined(
    kind: type[Model], table: pa.Table, definitions: Path, service: str | None, timestamp: str | None
) -> tuple[pa.Table, FeatureReferences]:
    """Rows with the features of a service beside them, by the names of the model's inputs; and its references.

    Where the class names features itself, those are joined, and the service is theirs.

    Raises:
        TrainingError: the class, the rows and the definitions do not go together, or rows break a rule.
    """
    if timestamp is None:
        raise TrainingError("--features needs --timestamp: the column that says when each row asks")
    model = guarded(kind, "__init__", kind)
    said = checked_features(kind, guarded(model, "features", model.features))
    name = service or (said.service if said else None)
    if name is None:
        raise TrainingError(f"{kind.__name__} names no feature service; say which one with --service")
    if said and said.service != name:
        raise TrainingError(
            f"{kind.__name__} names the service {said.service!r}, and --service {name!r}; leave one out"
        )
    try:
        features = load(definitions)
        references = said or _references(features.definitions, name)
        found = features.training_data(name, table, timestamp=timestamp)
    except FeaturesError as error:
        raise (TrainingError if error.reason.permanent else AwayError)(str(error)) from error
    return _as_inputs(found, table, references), references


def _references(definitions: Definitions, name: str) -> FeatureReferences:
    """A service as the definitions have it: every feature goes to the input that is called as it is."""
    chosen = definitions.chosen(definitions.service(name))
    types = {entity.name: entity.datatype for entity in definitions.entities}
    keys = dict.fromkeys(key for view, _ in chosen for key in view.entities)
    return FeatureReferences(
        service=name,
        entities=tuple(Entity(name=key, datatype=types[key]) for key in keys),
        features=tuple(
            Feature(name=feature.name, max_age_seconds=view.max_age.total_seconds() if view.max_age else None)
            for view, feature in chosen
        ),
    )


def _as_inputs(found: pa.Table, table: pa.Table, references: FeatureReferences) -> pa.Table:
    """The features that the model is given, by the names of its inputs; others of the service are left out."""
    result = table
    for feature in references.features:
        if feature.column is not None:
            raise TrainingError(f"feature {feature.name!r} goes to a column of {feature.tensor!r}; give it an input")
        if feature.name not in found.column_names:
            raise TrainingError(f"the service {references.service!r} has no feature {feature.name!r}")
        if feature.tensor in result.column_names:
            raise TrainingError(f"the rows have a column {feature.tensor!r} already, which a feature is to fill")
        result = result.append_column(feature.tensor, found.column(feature.name))
    return result
