"""A resource is parsed once, at the edge; a status that cannot be read must not stop everything."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sluice_operator.api.resource import ModelDeployment, SpecNotUnderstoodError, spec_owners
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.conditions import not_understood


def body(status: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "m", "uid": "u", "resourceVersion": "7", "generation": 2}
    return {"metadata": metadata, "spec": {"model": {"uri": "http://store/m.tar.gz"}}, "status": status}


def test_fields_of_another_operator_version_are_passed_over() -> None:
    parsed = ModelDeployment.parse(body({"url": "http://m.shop.svc", "inventedLater": {"x": 1}}))
    assert parsed.status.url == "http://m.shop.svc"


def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    parsed = ModelDeployment.parse(body({"stable": {"revision": "only-this"}}))
    assert parsed.status == ModelDeploymentStatus()


def test_a_spec_of_a_newer_definition_stalls_with_the_field_named_and_keeps_the_rest() -> None:
    newer = body({"url": "http://m.shop.svc", "stable": {"revision": "r", "specHash": "h", "uri": "u"}})
    newer["spec"]["runtime"] = {"inventedLater": True}
    with pytest.raises(SpecNotUnderstoodError) as caught:
        ModelDeployment.parse(newer)
    told = not_understood(caught.value.resource, str(caught.value), datetime(2026, 1, 1, tzinfo=UTC))
    (stalled,) = told.conditions
    assert (stalled.type, stalled.status, stalled.observed_generation) == ("Stalled", "True", 2)
    assert "spec.runtime.inventedLater" in stalled.message
    assert told.stable == caught.value.resource.status.stable


def written(manager: str, minute: int, **owned: Any) -> dict[str, Any]:
    fields = {"f:spec": {f"f:{name}": parts for name, parts in owned.items()}}
    return {"manager": manager, "time": f"2026-01-01T00:{minute:02}:00Z", "fieldsV1": fields}


OWNERS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "how the store is asked": ([written("a", 1, model={}), written("b", 2, features={"f:store": {}})], "b"),
    "how it is filled": (
        [written("a", 1, model={}), written("b", 2, features={".": {}, "f:materialization": {"f:suspend": {}}})],
        "a",
    ),
    "steps": ([written("a", 1, runtime={}), written("b", 2, rollout={})], "a"),
}


@pytest.mark.parametrize(("entries", "expected"), OWNERS.values(), ids=OWNERS)
def test_who_asked_for_a_version_is_who_shaped_its_pods(entries: list[dict[str, Any]], expected: str) -> None:
    found = body({})
    found["metadata"]["managedFields"] = entries
    assert ModelDeployment.parse(found).manager == expected
    # As the cache keeps it.
    found["metadata"]["managedFields"] = spec_owners(found["metadata"])
    assert ModelDeployment.parse(found).manager == expected
