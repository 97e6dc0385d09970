"""The feature store in model pods: what of the spec shapes them, and how the runtime is told of it."""

from typing import Any

from sluice.config import FEATURES_MOUNT, FeatureLookup
from sluice.contract import Entity, Feature, FeatureReferences
from sluice_operator.api.features import Features
from sluice_operator.api.scalars import age_seconds, seconds
from sluice_operator.api.spec import ModelDeploymentSpec

VOLUME = "feature-store"


def lookup(spec: ModelDeploymentSpec) -> Features | None:
    """What of `spec.features` shapes pods: all but how the store is filled."""
    return spec.features.model_copy(update={"materialization": None}) if spec.features else None


def volumes(asked: Features | None) -> list[dict[str, Any]]:
    """The volume with what the store wants to see, where it wants something."""
    if asked is None or asked.store.credentials is None:
        return []
    return [{"name": VOLUME, "secret": {"secretName": asked.store.credentials.secret_ref.name}}]


def mounts(asked: Features | None) -> list[dict[str, Any]]:
    """Where the container that asks the store finds it."""
    return [{"name": volume["name"], "mountPath": FEATURES_MOUNT, "readOnly": True} for volume in volumes(asked)]


def settings(asked: Features | None) -> FeatureLookup | None:
    """The runtime's settings."""
    if asked is None:
        return None
    cache = asked.cache
    return FeatureLookup(
        url=asked.store.url,
        references=_references(asked),
        timeout_seconds=seconds(asked.timeout),
        on_missing=asked.on_missing.value,
        on_outage=asked.on_outage.value,
        credentials_dir=FEATURES_MOUNT if asked.store.credentials else None,
        **({"cache_seconds": seconds(cache.max_age), "cache_entries": cache.entries} if cache else {}),
    )


def _references(asked: Features) -> FeatureReferences | None:
    """What stands in place of the package's own; all of it, as the definition has made sure, or nothing."""
    if asked.service is None or asked.entities is None or asked.inputs is None:
        return None
    return FeatureReferences(
        service=asked.service,
        entities=tuple(Entity(name=one.name, input=one.input, datatype=one.datatype.value) for one in asked.entities),
        features=tuple(
            Feature(
                name=one.feature,
                input=one.input,
                column=one.column,
                default=one.default,
                max_age_seconds=age_seconds(one.max_age) if one.max_age else None,
                request_wins=one.request_wins,
            )
            for one in asked.inputs
        ),
    )
