"""What a gateway's controller says of routes, and how long it has to have said so."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.cluster import observe
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.gateway import GatewayObserver
from sluice_operator.cluster.kinds import DEPLOYMENT, ENDPOINT_SLICE, GRPC_ROUTE, HTTP_ROUTE
from sluice_operator.planning.observed import RouterPod, RouterState
from unit.operator.kube_objects import metadata

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARENTS = [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
REF = {"name": "public", "namespace": "gateways", "sectionName": "https"}
ROUTER = {"app.kubernetes.io/component": "router"}


def resource(parents: Any = PARENTS, **gateway: Any) -> ModelDeployment:
    router = {"backend": "GatewayAPI", "gateway": {"parentRefs": parents, **gateway}}
    spec = {"model": {"uri": "https://models.example/m.tar.gz"}, "router": router}
    return ModelDeployment.parse({"metadata": {"namespace": "shop", "name": "one", "uid": "u"}, "spec": spec})


def said(status: str = "True", of: int = 3, refs: str = "True", ref: Any = REF, reason: str = "") -> dict[str, Any]:
    conditions = [
        {"type": "Accepted", "status": status, "observedGeneration": of, "reason": reason, "message": "so it is"},
        {"type": "ResolvedRefs", "status": refs, "observedGeneration": of, "reason": reason, "message": "so it is"},
    ]
    return {"parentRef": ref, "controllerName": "x", "conditions": conditions}


def route(*told: Any, version: str = "v2", generation: int = 3) -> dict[str, Any]:
    annotations = {"sluice.dev/config-version": version, "sluice.dev/weights": '{"abc":100}'}
    meta = metadata("one", owner="one", labels=ROUTER, generation=generation, annotations=annotations)
    return {"metadata": meta, "spec": {}, "status": {"parents": list(told)}}


def endpoints(revision: str, *pods: tuple[str, bool | None], name: str = "s") -> dict[str, Any]:
    found = [
        {"addresses": ["10.0.0.1"], "targetRef": {"name": pod}, "conditions": {} if ready is None else {"ready": ready}}
        for pod, ready in pods
    ]
    labels = {"sluice.dev/revision": revision, "app.kubernetes.io/component": "model"}
    return {"metadata": metadata(name, owner="one", labels=labels), "endpoints": found}


def seen(*objects: Any) -> observe.Seen:
    cache = Cache()
    for kind, obj in objects:
        cache.put(kind, obj)
    return observe.gather(cache, Key("shop", "one"), {})


def look(*objects: Any, of: ModelDeployment | None = None, seconds: Sequence[float] = (0, 2)) -> RouterState:
    """The last of several looks at the same."""
    observer = GatewayObserver()
    return [observer.look(of or resource(), seen(*objects), NOW + timedelta(seconds=at)) for at in seconds][-1]


def test_an_accepted_route_counts_once_that_has_stood_for_the_time_to_settle() -> None:
    accepted = (HTTP_ROUTE, route(said()))
    assert look(accepted, seconds=(0, 1.9)).pods[0].config_version is None
    state = look(accepted)
    assert state.pods == (RouterPod("Gateway gateways/public (https)", True, "v2", {}),)
    assert (state.wanted, state.weights, state.problem, state.former) == (1, {"abc": 100}, None, False)


def test_another_generation_settles_anew() -> None:
    observer = GatewayObserver()
    for at, generation, version in ((0, 3, "v2"), (2, 3, "v2"), (3, 4, "v3"), (4.9, 4, "v3")):
        objects = seen((HTTP_ROUTE, route(said(of=generation), generation=generation, version=version)))
        state = observer.look(resource(), objects, NOW + timedelta(seconds=at))
    assert state.pods[0].config_version is None
    assert observer.look(resource(), objects, NOW + timedelta(seconds=5)).pods[0].config_version == "v3"


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        (said(of=2), True),
        (said(refs="False", reason="BackendNotFound"), True),
        (said("False", reason="NotAllowedByListeners"), False),
        (said("Unknown"), False),
        ({"parentRef": REF, "controllerName": "x"}, False),
    ],
    ids=["of an older generation", "without its backends", "refused", "undecided", "silent"],
)
def test_what_is_not_wholly_accepted_has_no_version(told: Any, ready: bool) -> None:
    pod = look((HTTP_ROUTE, route(told))).pods[0]
    assert (pod.ready, pod.config_version) == (ready, None)


@pytest.mark.parametrize(
    ("told", "reason", "message"),
    [
        ([], "GatewaySilent", "no controller has answered for Gateway gateways/public (https)"),
        ([said("False", reason="NoMatchingParent")], "NoMatchingParent", "Gateway gateways/public (https): so it is"),
        ([said(refs="False", reason="BackendNotFound")], "BackendNotFound", "so it is"),
        ([said(ref={**REF, "sectionName": "http"})], "GatewaySilent", "no controller"),
    ],
    ids=["nobody", "refused", "no backend", "somebody else's word"],
)
def test_why_a_route_is_not_taken(told: Any, reason: str, message: str) -> None:
    problem = look((HTTP_ROUTE, route(*told))).problem
    assert problem is not None
    assert problem.reason == reason
    assert message in problem.message


def test_each_parent_of_each_route_is_a_place_of_its_own() -> None:
    parents = [*PARENTS, {"name": "near"}]
    told = [said(), said(ref={"name": "near"})]
    of = resource(parents, hostnames=["a.example"], grpcHostnames=["b.example"])
    state = look((HTTP_ROUTE, route(*told)), (GRPC_ROUTE, route(*told)), of=of)
    assert [pod.config_version for pod in state.pods] == ["v2"] * 4


def test_while_one_route_is_missing_no_place_counts() -> None:
    of = resource(hostnames=["a.example"], grpcHostnames=["b.example"])
    state = look((HTTP_ROUTE, route(said())), of=of)
    assert [(pod.ready, pod.config_version) for pod in state.pods] == [(True, None)]


def test_a_parent_without_a_namespace_is_in_the_routes_own() -> None:
    state = look((HTTP_ROUTE, route(said(ref={"name": "near", "namespace": "shop"}))), of=resource([{"name": "near"}]))
    assert state.pods[0].config_version == "v2"


def test_pods_count_as_known_once_they_have_been_ready_for_the_time_to_settle() -> None:
    slices = [
        (ENDPOINT_SLICE, endpoints("abc", ("p1", True), ("p2", False), ("p3", None), name="four")),
        (ENDPOINT_SLICE, endpoints("abc", ("p1", True), name="six")),
        (ENDPOINT_SLICE, endpoints("def", name="none")),
    ]
    objects = [(HTTP_ROUTE, route(said())), *slices]
    assert look(*objects, seconds=(0, 1)).pods[0].healthy == {}
    assert look(*objects).pods[0].healthy == {"abc": 2, "def": 0}


def test_a_pod_that_comes_makes_the_others_wait_but_not_the_route() -> None:
    observer = GatewayObserver()
    for at, pods in ((0, [("p1", True)]), (2, [("p1", True), ("p2", True)])):
        objects = seen((HTTP_ROUTE, route(said())), (ENDPOINT_SLICE, endpoints("abc", *pods)))
        state = observer.look(resource(), objects, NOW + timedelta(seconds=at))
    assert (state.pods[0].config_version, state.pods[0].healthy) == ("v2", {})


def test_routers_that_are_still_there_are_seen() -> None:
    router = {"metadata": metadata("one-router", owner="one", labels=ROUTER), "spec": {}}
    assert look((HTTP_ROUTE, route(said())), (DEPLOYMENT, router)).former


def test_who_is_forgotten_settles_anew() -> None:
    observer, objects = GatewayObserver(), seen((HTTP_ROUTE, route(said())))
    observer.look(resource(), objects, NOW)
    observer.forget(Key("shop", "one"))
    assert observer.look(resource(), objects, NOW + timedelta(seconds=9)).pods[0].config_version is None
