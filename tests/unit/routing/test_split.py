"""Properties of the rendered split that hold for every traffic."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.api.matching import Match
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing import envoy, envoy_config
from sluice_operator.routing.base import Matched, Traffic

TESTER = Match.model_validate({"header": {"name": "x-tester", "present": True}})
REVISIONS = st.lists(st.text("0123456789abcdef", min_size=10, max_size=10), min_size=1, max_size=4, unique=True)


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    revisions = draw(REVISIONS)
    weighted = draw(st.integers(0, min(2, len(revisions))))
    canary = draw(st.integers(0, 100))
    weights = [{}, {revisions[0]: 100}, {revisions[0]: 100 - canary, revisions[-1]: canary}][weighted]
    return Traffic("shop", "store-revenue", weights, tuple(revisions))


def _resources(traffic: Traffic, file: str) -> list[dict[str, Any]]:
    resources: list[dict[str, Any]] = _read(envoy_config.files(traffic)[file])["resources"]
    return resources


def _read(text: str) -> Any:
    """As `yaml.safe_load` does, in a tenth of the time: hundreds of examples are read."""
    return yaml.load(text, yaml.CSafeLoader)


def _weighted(traffic: Traffic) -> list[list[dict[str, Any]]]:
    """The weighted clusters of the two doors, HTTP and gRPC."""
    (routes,) = _resources(traffic, "rds.yaml")
    doors = routes["virtual_hosts"][0]["routes"][:2]
    return [door.get("route", {}).get("weighted_clusters", {}).get("clusters", []) for door in doors]


@given(traffics())
def test_rendered_weights_are_the_wanted_ones_and_sum_to_100_for_both_protocols(traffic: Traffic) -> None:
    for suffix, weighted in zip(("", "-grpc"), _weighted(traffic), strict=True):
        rendered = {cluster["name"]: cluster["weight"] for cluster in weighted}
        assert rendered == {revision + suffix: weight for revision, weight in traffic.weights.items() if weight}
        assert sum(rendered.values()) == (100 if traffic.weights else 0)


@given(traffics())
def test_every_known_revision_has_a_cluster_and_every_weighted_one_is_known(traffic: Traffic) -> None:
    clusters = {cluster["name"] for cluster in _resources(traffic, "cds.yaml")}
    assert clusters == {revision + suffix for revision in traffic.revisions for suffix in ("", "-grpc")}
    assert {cluster["name"] for door in _weighted(traffic) for cluster in door} <= clusters


@given(traffics(), traffics())
def test_the_version_changes_exactly_when_the_files_change(one: Traffic, other: Traffic) -> None:
    same_files = envoy_config.files(one) == envoy_config.files(other)
    assert (envoy.version(one) == envoy.version(other)) == same_files


@given(traffics())
def test_all_reloaded_files_carry_the_version_and_the_bootstrap_never_changes(traffic: Traffic) -> None:
    files, version = envoy_config.files(traffic), envoy.version(traffic)
    for name in ("cds.yaml", "lds.yaml", "rds.yaml"):
        assert _read(files[name])["version_info"] == version
    assert files["bootstrap.yaml"] == envoy_config.files(Traffic("other", "model"))["bootstrap.yaml"]


def test_the_order_in_which_revisions_are_named_does_not_matter() -> None:
    one = Traffic("shop", "m", {"a" * 10: 90, "b" * 10: 10}, ("a" * 10, "b" * 10))
    other = Traffic("shop", "m", {"b" * 10: 10, "a" * 10: 90}, ("b" * 10, "a" * 10))
    assert envoy_config.files(one) == envoy_config.files(other)


@pytest.mark.parametrize(
    ("weights", "revisions", "message"),
    [
        ({"a": 60, "b": 30}, ("a", "b"), "sum to 100"),
        ({"a": 120, "b": -20}, ("a", "b"), "negative"),
        ({"a": 90, "b": 10}, ("a",), "not among the known"),
    ],
)
def test_traffic_that_cannot_be_routed_is_refused(
    weights: dict[str, int], revisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Traffic("shop", "m", weights, revisions)


def test_testers_of_a_revision_that_routers_do_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="not among the known"):
        Traffic("shop", "m", {"a": 100}, ("a",), testers=Matched("b", (TESTER,)))


def test_testers_are_looked_at_before_the_split_and_nowhere_while_nothing_is_ready() -> None:
    testers = Matched("b" * 10, (TESTER,))
    tested = Traffic("shop", "m", {"a" * 10: 100}, ("a" * 10, "b" * 10), testers=testers)
    (routes,) = _resources(tested, "rds.yaml")
    targets = [route.get("route", {}).get("cluster") for route in routes["virtual_hosts"][0]["routes"]]
    assert targets == ["b" * 10, None, "b" * 10 + "-grpc", None, None]
    (empty,) = _resources(Traffic("shop", "m", {}, ("b" * 10,), testers=testers), "rds.yaml")
    assert empty == _resources(Traffic("shop", "m", {}, ("b" * 10,)), "rds.yaml")[0]


def test_what_is_kept_of_one_traffic_is_never_given_for_another(owner: ModelDeployment) -> None:
    half, tenth = (Traffic("shop", "m", {"a": 100 - share, "b": share}, ("a", "b")) for share in (50, 10))
    assert hash(half) == hash(tenth)
    for wanted in (half, tenth, half):
        assert envoy.config_map(owner, wanted)["data"] == envoy_config.files(wanted)


def test_what_is_given_out_can_be_changed_without_harm(owner: ModelDeployment) -> None:
    envoy.config_map(owner, Traffic("shop", "m"))["data"].clear()
    assert envoy.config_map(owner, Traffic("shop", "m"))["data"] == envoy_config.files(Traffic("shop", "m"))
