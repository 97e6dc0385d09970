"""What counts as a difference between a wish and a live object, and what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.cluster import compare

SAME = {
    "defaults that the server added": ({"a": 1, "dnsPolicy": "ClusterFirst"}, {"a": 1}),
    "a quantity in another spelling": ({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.5"}}),
    "a memory quantity in another unit": ({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}),
    "a quantity given as a number": ({"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}),
    "a port as text or number": ({"targetPort": 8080}, {"targetPort": "8080"}),
    "a zero that the server leaves out": ({}, {"minReadySeconds": 0}),
    "a false that the server leaves out": ({}, {"hostNetwork": False}),
    "an empty text that the server leaves out": ({"env": [{"name": "X"}]}, {"env": [{"name": "X", "value": ""}]}),
    "an empty list that the server leaves out": ({}, {"args": []}),
    "an empty mapping the server filled": ({"strategy": {"type": "RollingUpdate"}}, {"strategy": {}}),
    "a None": ({}, {"maxUnavailable": None}),
    "a container that somebody else added": (
        {"containers": [{"name": "mesh"}, {"name": "runtime", "image": "a"}]},
        {"containers": [{"name": "runtime", "image": "a"}]},
    ),
    "what a server adds to a route's parts": (
        {"backendRefs": [{"group": "", "kind": "Service", "name": "a", "port": 1, "weight": 1}]},
        {"backendRefs": [{"name": "a", "port": 1, "weight": 1}]},
    ),
    "two parts of a route on one port": (
        {"backendRefs": [{"name": "a", "port": 1, "weight": 9}, {"name": "b", "port": 1, "weight": 1}]},
        {"backendRefs": [{"name": "a", "port": 1, "weight": 9}, {"name": "b", "port": 1, "weight": 1}]},
    ),
    "mounts of one volume in two places": (
        {"volumeMounts": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a"}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
    ),
}

DIFFERENT = {
    "a changed value": ({"image": "a"}, {"image": "b"}),
    "a changed quantity": ({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "1"}}),
    "a removed field": ({}, {"image": "a"}),
    "an item of a list that is gone": ({"containers": []}, {"containers": [{"name": "runtime"}]}),
    "an order that means something": ({"args": ["a", "b"]}, {"args": ["b", "a"]}),
    "a part of a route that somebody else added": (
        {"backendRefs": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]},
        {"backendRefs": [{"name": "a", "port": 1}]},
    ),
    "other weights on one port": (
        {"backendRefs": [{"name": "a", "port": 1, "weight": 5}, {"name": "b", "port": 1, "weight": 5}]},
        {"backendRefs": [{"name": "a", "port": 1, "weight": 9}, {"name": "b", "port": 1, "weight": 1}]},
    ),
    "an argument more": ({"args": ["a", "b"]}, {"args": ["a"]}),
    "text that only looks like a quantity": ({"data": {"x": "1024Mi"}}, {"data": {"x": "1Gi"}}),
    "a switch that is off": ({"readOnlyRootFilesystem": False}, {"readOnlyRootFilesystem": True}),
    "a switch and a text": ({"x": "True"}, {"x": True}),
}


@pytest.mark.parametrize(("live", "wanted"), SAME.values(), ids=SAME)
def test_no_difference(live: Any, wanted: Any) -> None:
    assert compare.contains(live, wanted)


@pytest.mark.parametrize(("live", "wanted"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_difference(live: Any, wanted: Any) -> None:
    assert not compare.contains(live, wanted)


MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "x"},
    "data": {"a": "1", "b": "2"},
}


def test_a_live_object_without_its_kind_is_up_to_date() -> None:
    hashed = compare.with_hash(MANIFEST)
    live = {key: value for key, value in hashed.items() if key not in ("apiVersion", "kind")}
    assert compare.up_to_date(hashed, live)


def test_an_absent_object_is_not_up_to_date() -> None:
    assert not compare.up_to_date(compare.with_hash(MANIFEST), None)


def test_a_field_dropped_from_the_wish_is_a_difference_though_the_live_object_holds_all_the_rest() -> None:
    live = compare.with_hash(MANIFEST)
    wanted = compare.with_hash({**MANIFEST, "data": {"a": "1"}})
    assert {**live["data"]}.items() >= {**wanted["data"]}.items()
    assert not compare.up_to_date(wanted, live)


def test_the_hash_leaves_the_manifest_alone_and_keeps_its_annotations() -> None:
    manifest = {**MANIFEST, "metadata": {"name": "x", "annotations": {"mine": "1"}}}
    hashed = compare.with_hash(manifest)
    assert manifest["metadata"]["annotations"] == {"mine": "1"}
    assert hashed["metadata"]["annotations"]["mine"] == "1"
    assert compare.with_hash(manifest) == hashed


@pytest.mark.parametrize(
    ("text", "number"), [("500m", "0.5"), ("1Ki", "1024"), ("1k", "1000"), ("2", "2"), ("1.5Gi", "1610612736")]
)
def test_quantities(text: Any, number: Any) -> None:
    assert str(float(compare.amount(text) or 0)) == str(float(number))


@pytest.mark.parametrize("text", ["", "abc", "1Q", "Gi"])
def test_what_is_no_quantity(text: Any) -> None:
    assert compare.amount(text) is None


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert compare.contains(value, value)
