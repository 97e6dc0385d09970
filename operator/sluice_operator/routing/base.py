"""The seam between a rollout and whatever moves its traffic, so that a second kind of router changes no planning."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sluice_operator.api.access import Access
from sluice_operator.api.base import Manifest
from sluice_operator.api.matching import Match, Sticky
from sluice_operator.api.resource import ModelDeployment


@dataclass(frozen=True)
class Matched:
    """Requests that any of `matches` finds go to `revision`, whatever its weight."""

    revision: str
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class Copied:
    """`percent` of the requests that others answer are copied to `revision`, whose answers nobody sees."""

    revision: str
    percent: int


@dataclass(frozen=True)
class Previewed:
    """What answers under the name of the preview; no revision: nothing does."""

    revision: str | None = None


@dataclass(frozen=True)
class Doors:
    """How callers may come in: without TLS, with it, or both."""

    http: bool = True
    https: bool = False


@dataclass(frozen=True)
class Tracing:
    """Where spans of requests go: a collector's host and port for OTLP over HTTP. `percent` of the requests whose
    callers say nothing about traces are traced.
    """

    host: str
    port: int
    percent: float


@dataclass(frozen=True)
class Authorizer:
    """Where the process listens that is asked whether a caller may."""

    host: str
    port: int


@dataclass(frozen=True)
class Guard:
    """Who may ask. Each of so many `routers` counts rates for itself. `closed` says why nobody can be let in; then
    everybody is refused with it.
    """

    access: Access
    authorizer: Authorizer | None = None
    routers: int = 1
    closed: str = ""


@dataclass(frozen=True)
class Parent:
    """A Gateway, or one listener (`section`) of it; without a namespace in the route's own."""

    name: str
    namespace: str | None = None
    section: str | None = None


@dataclass(frozen=True)
class Attached:
    """Where a gateway's routes hang, and by which names they are called; no `grpc_hostnames`: no gRPC. `named`: answers
    say which revision gave them.
    """

    parents: tuple[Parent, ...]
    hostnames: tuple[str, ...] = ()
    grpc_hostnames: tuple[str, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class Traffic:
    """What the router should do: a plain value, compared and hashed by what it renders to.

    `weights` is percent by revision: 100 in sum, or empty while nothing is ready. `revisions` is every revision the
    router should know the members of: a canary before its first weight and one that drains as well as the weighted.
    A revision has to be known to every router, with members, before it gets a weight: routers may see a weight a
    moment before the members that come with it, and that moment costs requests. So it is for all else.
    Raises ValueError where the two do not fit.
    """

    namespace: str
    name: str
    # A mapping has no hash; equal traffic still has the same one.
    weights: Mapping[str, int] = field(default_factory=dict, hash=False)
    revisions: tuple[str, ...] = ()
    testers: Matched | None = None
    sticky: Sticky | None = None
    mirror: Copied | None = None
    preview: Previewed | None = None
    doors: Doors = Doors()
    tracing: Tracing | None = None
    # As with weights: a part of it has no hash.
    guard: Guard | None = field(default=None, hash=False)
    gateway: Attached | None = None
    cluster_domain: str = "cluster.local"

    def __post_init__(self) -> None:
        if self.weights and sum(self.weights.values()) != 100:
            raise ValueError(f"weights must sum to 100, not {dict(self.weights)}")
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError(f"weights must not be negative: {dict(self.weights)}")
        if unknown := self._routed() - set(self.revisions):
            raise ValueError(f"routed revisions {sorted(unknown)} are not among the known {self.revisions}")

    def _routed(self) -> set[str]:
        beside = (self.testers, self.mirror, self.preview)
        return {*self.weights, *(part.revision for part in beside if part and part.revision)}


class Backend(Protocol):
    """A way to route. A module with these three functions is one."""

    def manifests(self, owner: ModelDeployment, traffic: Traffic, image: str) -> tuple[Manifest, ...]:
        """Every object that makes `traffic` true; a Deployment among them never carries `replicas`."""

    def version(self, traffic: Traffic) -> str:
        """Hash of the rendered configuration: what a router that applies it reports back."""

    def scales(self, owner: ModelDeployment) -> Mapping[str, int]:
        """Wanted replicas by Deployment name, which go through /scale."""
