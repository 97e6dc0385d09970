"""How the feature store is asked shapes pods, and reaches the process that serves; how it is filled does neither."""

from typing import Any

import pytest

from sluice.config import FEATURES_MOUNT, RuntimeConfig
from sluice.contract import Entity, Feature, FeatureReferences

from .test_upgrade import planned
from .world import World, make_spec

STORE: dict[str, Any] = {"url": "http://feast:6566"}
OWN: dict[str, Any] = {
    "service": "revenue",
    "entities": [{"name": "store", "input": "store_id", "datatype": "BYTES"}],
    "inputs": [
        {"feature": "size", "input": "x", "column": 2, "default": 0.5, "maxAge": "7d", "requestWins": True},
        {"feature": "kind", "default": "yes"},
    ],
}
MATERIALIZATION: dict[str, Any] = {
    "schedule": "30 4 * * *",
    "definitions": {"configMapRef": {"name": "definitions"}},
}


def serving(features: dict[str, Any]) -> tuple[Any, Any]:
    """The pod of a spec with these features, and its container that serves."""
    world = World(make_spec(features=features)).settle()
    (found,) = (
        m for m in world.of_kind("Deployment") if m["metadata"]["labels"]["app.kubernetes.io/component"] == "model"
    )
    pod = found["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def config_of(container: Any) -> RuntimeConfig:
    return RuntimeConfig.model_validate_json(container["env"][0]["value"])


def told(features: dict[str, Any]) -> dict[str, Any]:
    """What the runtime is told, without what it would assume."""
    found = config_of(serving(features)[1]).features
    assert found
    return found.model_dump(exclude_defaults=True)


def test_a_store_alone_leaves_all_else_to_the_package_and_the_runtime() -> None:
    assert told({"store": STORE}) == {"url": "http://feast:6566"}


def test_every_field_reaches_the_runtime() -> None:
    asked = {"store": STORE, "timeout": "50ms", "cache": {"maxAge": "1m", "entries": 5}, **OWN}
    found = config_of(serving(asked | {"onMissing": "Default", "onOutage": "Default"})[1]).features
    assert found
    assert (found.timeout_seconds, found.cache_seconds, found.cache_entries) == (0.05, 60, 5)
    assert (found.on_missing, found.on_outage, found.credentials_dir) == ("Default", "Default", None)
    assert found.references == FeatureReferences(
        service="revenue",
        entities=(Entity(name="store", input="store_id", datatype="BYTES"),),
        features=(
            Feature(name="size", input="x", column=2, default=0.5, max_age_seconds=7 * 86400, request_wins=True),
            Feature(name="kind", default="yes"),
        ),
    )


def test_a_cache_that_says_nothing_more_is_of_five_seconds() -> None:
    assert told({"store": STORE, "cache": {}})["cache_seconds"] == 5


def test_what_the_store_wants_to_see_is_seen_by_the_process_that_serves_alone() -> None:
    pod, container = serving({"store": STORE | {"credentials": {"secretRef": {"name": "feast"}}}})
    (volume,) = (one for one in pod["volumes"] if "secret" in one)
    assert volume["secret"] == {"secretName": "feast"}
    mount = {"name": volume["name"], "mountPath": FEATURES_MOUNT, "readOnly": True}
    assert mount in container["volumeMounts"]
    assert mount not in pod["initContainers"][0]["volumeMounts"]
    found = config_of(container).features
    assert found
    assert found.credentials_dir == FEATURES_MOUNT


def test_the_steps_that_fetch_and_resolve_do_not_know_the_store() -> None:
    pod, _ = serving({"store": STORE})
    assert config_of(pod["initContainers"][0]).features is None
    spec = make_spec(features={"store": STORE})
    del spec["model"]["digest"]
    world = World(spec)
    world.run()
    (job,) = world.of_kind("Job")
    assert config_of(job["spec"]["template"]["spec"]["containers"][0]).features is None


CHANGES: dict[str, dict[str, Any]] = {
    "the store": {"store": {"url": "http://other:6566"}},
    "the timeout": {"timeout": "1s"},
    "a policy": {"onOutage": "Default"},
    "a cache": {"cache": {}},
    "its features": OWN,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_how_it_is_asked_is_a_revision(change: dict[str, Any]) -> None:
    before, after = ({"features": {"store": STORE} | more} for more in ({}, change))
    assert planned(before) != planned(after)


def test_how_it_is_filled_is_none() -> None:
    plain, filled = ({"features": {"store": STORE} | more} for more in ({}, {"materialization": MATERIALIZATION}))
    assert planned(plain) == planned(filled)


def test_a_default_that_is_written_down_is_the_same_revision() -> None:
    written = {"timeout": "100ms", "onMissing": "Fail", "onOutage": "Fail"}
    assert planned({"features": {"store": STORE}}) == planned({"features": {"store": STORE} | written})


def test_a_record_keeps_all_of_it() -> None:
    features = {"store": STORE, "cache": {}, **OWN}
    world = World(make_spec(features=features)).settle()
    before = world.objects
    (record,) = world.records.values()
    assert record.features
    assert record.features.inputs
    assert record.features.inputs[0].default == 0.5
    world.run()
    assert world.objects == before
