"""What is written to the cluster, whole. `UPDATE_GOLDEN=1 pytest tests/unit/routing` accepts a wanted change."""

from pathlib import Path

import pytest

from sluice_operator.api.access import Access
from sluice_operator.api.matching import Match, Sticky, StickyCookie
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing import envoy
from sluice_operator.routing.base import Authorizer, Copied, Doors, Guard, Matched, Previewed, Tracing, Traffic
from sluice_operator.routing.envoy_access_clusters import AUTHORIZER as AUTHORIZER_CLUSTER
from sluice_operator.routing.envoy_access_clusters import AUTHORIZER_STRANGERS, KEYS, VERIFIER
from support.golden import compare

GOLDEN = Path(__file__).parent / "golden"
STABLE, CANARY = "0123456789", "abcdef0123"
MATCHES = (
    Match.model_validate({"header": {"name": "X-Tester", "value": "yes"}}),
    Match.model_validate({"header": {"name": "x-team", "regex": "shop-.*"}, "cookie": {"name": "t", "present": True}}),
)

AUTHORIZER = Authorizer("sluice-authorizer.sluice-system.svc", 8080)
CLUSTER_USERS = Access.model_validate({"mode": "Kubernetes", "rateLimit": {"requests": 100, "burst": 500}})
STORE_STAFF = Access.model_validate(
    {
        "mode": "JWT",
        "jwt": {
            "issuer": "https://login.example",
            "jwksUri": "https://login.example/keys",
            "requiredClaims": [{"claim": "dept", "values": ["sales", "ops"]}],
            "callerClaim": "email",
        },
        "data": {"entities": ["store_id"], "rule": "entities.store_id.all(s, s in claims.stores)"},
    }
)

CASES = {
    "nothing-ready": Traffic("shop", "store-revenue"),
    "canary-known": Traffic("shop", "store-revenue", {STABLE: 100, CANARY: 0}, (STABLE, CANARY)),
    "canary-tested": Traffic(
        "shop", "store-revenue", {STABLE: 100}, (STABLE, CANARY), testers=Matched(CANARY, MATCHES)
    ),
    "canary-sticky-cookie": Traffic(
        "shop", "store-revenue", {STABLE: 90, CANARY: 10}, (STABLE, CANARY), sticky=Sticky(cookie=StickyCookie())
    ),
    "canary-sticky-header": Traffic(
        "shop", "store-revenue", {STABLE: 90, CANARY: 10}, (STABLE, CANARY), sticky=Sticky(header="X-User")
    ),
    "canary-mirrored": Traffic("shop", "store-revenue", {STABLE: 100}, (STABLE, CANARY), mirror=Copied(CANARY, 40)),
    "canary-previewed": Traffic("shop", "store-revenue", {STABLE: 100}, (STABLE, CANARY), preview=Previewed(CANARY)),
    "https-only": Traffic("shop", "store-revenue", {STABLE: 100}, (STABLE,), doors=Doors(http=False, https=True)),
    "traced": Traffic(
        "shop", "store-revenue", {STABLE: 100}, (STABLE,), tracing=Tracing("collector.observability", 4318, 0.5)
    ),
    "access-kubernetes": Traffic(
        "shop", "store-revenue", {STABLE: 100}, (STABLE,), guard=Guard(CLUSTER_USERS, AUTHORIZER, routers=2)
    ),
    "access-jwt-data": Traffic("shop", "store-revenue", {STABLE: 100}, (STABLE,), guard=Guard(STORE_STAFF, AUTHORIZER)),
    "access-closed": Traffic(
        "shop", "store-revenue", {STABLE: 100}, (STABLE,), guard=Guard(CLUSTER_USERS, closed="nobody can be checked")
    ),
    "canary-weighted": Traffic("shop", "store-revenue", {STABLE: 90, CANARY: 10}, (STABLE, CANARY)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_split_is_written_as_the_golden_file_says(case: str, owner: ModelDeployment) -> None:
    compare(GOLDEN / f"{case}.yaml", [envoy.config_map(owner, CASES[case])])


def test_the_workload_is_written_as_the_golden_file_says(owner: ModelDeployment) -> None:
    config_map, *workload = envoy.manifests(owner, CASES["canary-weighted"], "envoy:test")
    assert config_map["kind"] == "ConfigMap"
    compare(GOLDEN / "workload.yaml", list(workload))


def test_what_routers_ask_is_counted_under_the_names_that_are_documented() -> None:
    told = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
    for name in (AUTHORIZER_CLUSTER, AUTHORIZER_STRANGERS, KEYS, VERIFIER):
        assert f"cluster.{name}." in told
