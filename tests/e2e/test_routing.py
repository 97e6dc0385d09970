"""Who gets which version: testers before everybody else, and users who stay."""

from __future__ import annotations

from typing import Any

from e2e.specs import QUICK, ROUTER, RUNTIME
from support.client import Client
from support.deployments import KIND, model_deployment, stable, until_promoted
from support.kube import Kube, Object
from support.store import Store

NAME = "store-revenue"
REVISION = "x-sluice-revision"
TESTER = {"x-tester": "yes"}
USERS = [{"x-user": f"user-{number}"} for number in range(40)]


def at_weight(kube: Kube, weight: int) -> Object:
    """Wait until the weight is seen on every router."""

    def held(found: Object) -> bool:
        rollout: dict[str, Any] = found.get("status", {}).get("rollout", {})
        return rollout.get("verifiedWeight") == weight and "holdStartedAt" in rollout

    return kube.until(KIND, NAME, held)


def test_testers_see_a_version_first_and_users_stay_on_theirs(kube: Kube, store: Store, client: Client) -> None:
    url = f"http://{NAME}.{kube.namespace}.svc/v2/models/{NAME}"

    def apply(version: str, *weights: int) -> None:
        steps = [{"weight": weight, "hold": "1h"} for weight in weights]
        rollout = QUICK | {"match": [{"header": {"name": "x-tester", "value": "yes"}}], "steps": steps}
        router = ROUTER | {"sticky": {"header": "x-user"}}
        spec: dict[str, Any] = {"runtime": RUNTIME, "router": router, "rollout": rollout}
        kube.apply(model_deployment(NAME, store.uri(f"{version}.tar.gz"), **spec))

    def versions(*headers: dict[str, str]) -> list[str]:
        return [answer.headers[REVISION] for answer in client.ask_each(url, headers)]

    # Given v1, and a second version at a step of weight 0
    apply("v1", 0)
    first = stable(until_promoted(kube, NAME))
    apply("v2", 0)
    second = at_weight(kube, 0)["status"]["canary"]["revision"]
    # Then testers get it and nobody else does
    assert versions(TESTER, {"x-tester": "no"}, *USERS) == [second, *[first] * (1 + len(USERS))]
    # When half of the users get it
    apply("v2", 50)
    at_weight(kube, 50)
    half = versions(*USERS)
    # Then both versions have users, each of whom stays
    assert set(half) == {first, second}
    assert versions(*USERS) == half
    # When it is taken back, then all of its users are stable's
    apply("v1", 50)
    until_promoted(kube, NAME)
    assert set(versions(TESTER, *USERS)) == {first}
