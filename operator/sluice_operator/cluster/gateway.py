"""What a gateway tells of its routes, as the picture of a router that planning reads.

A gateway's controller says for each place where a route hangs which generation of it it has accepted. When its proxies
apply that, nobody says; nor when they know a new pod. Both are taken to be so once the answer has stood for a while.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sluice_operator.api import names
from sluice_operator.api.gateway import Gateway, ParentRef
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.cluster import observe
from sluice_operator.cluster.cache import Key
from sluice_operator.cluster.observe import Seen
from sluice_operator.planning.observed import Problem, RouterPod, RouterState

Json = Mapping[str, Any]

CONDITIONS = ("Accepted", "ResolvedRefs")


class GatewayObserver:
    """Reads what the cache holds. For how long it has been so is known by the operator's own looks: after a start it
    counts anew.
    """

    def __init__(self) -> None:
        self._since: dict[Key, dict[str, tuple[Hashable, datetime]]] = {}

    def look(self, resource: ModelDeployment, seen: Seen, now: datetime) -> RouterState:
        """The picture of a router; only for a resource with a gateway."""
        gateway = resource.spec.router.gateway
        if gateway is None:
            raise ValueError(f"{resource.name} has no gateway")
        key, found, ready = Key(resource.namespace, resource.name), places(seen.routes, gateway), members(seen.slices)
        said = self._stands(key, "said", tuple(found), now) >= seconds(gateway.settle)
        known = self._stands(key, "known", tuple(sorted(ready.items())), now) >= seconds(gateway.settle)
        return RouterState(
            wanted=len(found),
            pods=tuple(_pod(place, said, ready if known else {}) for place in found),
            weights=observe.weights(seen),
            problem=next((place.problem for place in found if place.problem), None),
            former=observe.router_deployment(seen) is not None,
        )

    def _stands(self, key: Key, what: str, value: Hashable, now: datetime) -> float:
        """Seconds for which `what` has had this value, as far as is known."""
        known = self._since.setdefault(key, {})
        if what not in known or known[what][0] != value:
            known[what] = (value, now)
        return (now - known[what][1]).total_seconds()

    def forget(self, key: Key) -> None:
        """Nobody asks any more."""
        self._since.pop(key, None)


@dataclass(frozen=True)
class Place:
    """A route at one of its parents. `seen`: the controller has accepted the newest generation, with its members."""

    name: str
    accepted: bool
    seen: bool
    generation: int
    version: str
    problem: Problem | None


def places(routes: Sequence[Json], gateway: Gateway) -> list[Place]:
    """Every place where a route hangs. None of them counts as seen while a route is missing."""
    whole = len(routes) == (2 if gateway.grpc_hostnames else 1)
    return [_place(route, parent, whole) for route in routes for parent in gateway.parent_refs]


def members(slices: Sequence[Json]) -> dict[str, int]:
    """Pods that a gateway finds ready, by revision; a pod with two addresses is one."""
    ready: dict[str, set[str]] = {}
    for piece in slices:
        found = ready.setdefault(observe.label(piece, names.REVISION), set())
        found.update(
            _name(one) for one in piece.get("endpoints") or [] if (one.get("conditions") or {}).get("ready", True)
        )
    return {revision: len(pods) for revision, pods in ready.items() if revision}


def _pod(place: Place, said: bool, healthy: Mapping[str, int]) -> RouterPod:
    return RouterPod(place.name, place.accepted, place.version if place.seen and said else None, healthy)


def _place(route: Json, parent: ParentRef, whole: bool) -> Place:
    metadata = route["metadata"]
    told = _conditions(route, parent)
    generation = int(metadata.get("generation", 0))
    current = [told.get(kind, {}).get("observedGeneration") == generation for kind in CONDITIONS]
    agreed = [told.get(kind, {}).get("status") == "True" for kind in CONDITIONS]
    return Place(
        name=_title(parent),
        accepted=agreed[0],
        seen=whole and all(current) and all(agreed),
        generation=generation,
        version=str((metadata.get("annotations") or {}).get(names.CONFIG_VERSION, "")),
        problem=_problem(told, parent),
    )


def _conditions(route: Json, parent: ParentRef) -> dict[str, Json]:
    """What the controller of this parent says of the route, by type; nothing before it has spoken."""
    own = route["metadata"]["namespace"]
    for told in (route.get("status") or {}).get("parents") or []:
        ref = told.get("parentRef") or {}
        where = (ref.get("name"), ref.get("namespace") or own, ref.get("sectionName"))
        if where == (parent.name, parent.namespace or own, parent.section_name):
            return {condition["type"]: condition for condition in told.get("conditions") or []}
    return {}


def _problem(told: Mapping[str, Json], parent: ParentRef) -> Problem | None:
    if not told:
        message = f"no controller has answered for {_title(parent)}: is it there, and does it let this namespace in?"
        return Problem("GatewaySilent", message)
    refused = next((told[kind] for kind in CONDITIONS if told.get(kind, {}).get("status") == "False"), None)
    if refused is None:
        return None
    return Problem(str(refused.get("reason", "")), f"{_title(parent)}: {refused.get('message', '')}")


def _title(parent: ParentRef) -> str:
    where = f"{parent.namespace}/{parent.name}" if parent.namespace else parent.name
    return f"Gateway {where}" + (f" ({parent.section_name})" if parent.section_name else "")


def _name(endpoint: Json) -> str:
    target = endpoint.get("targetRef") or {}
    return str(target.get("name") or endpoint["addresses"][0])
