"""What one look at the cluster saw, as plain values, so that planning can be tested without a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sluice.config import DEFAULT_PACKAGE_BYTES
from sluice_operator.api.base import ApiModel
from sluice_operator.api.features import Features
from sluice_operator.api.model import Signature
from sluice_operator.api.runtime import Runtime
from sluice_operator.planning.comparison import Comparison


@dataclass(frozen=True)
class RevisionRecord:
    """The immutable record of a revision, kept in a ControllerRevision: all that shapes its pods."""

    revision: str
    spec_hash: str
    uri: str
    digest: str
    image: str
    runtime: Runtime
    credentials: str | None = None
    reference: str = ""
    """The tag, branch or alias that stood for `uri`; empty where none did."""
    endpoint: str | None = None
    max_bytes: int = DEFAULT_PACKAGE_BYTES
    service_account: str | None = None
    signature: Signature | None = None
    features: Features | None = None
    """How the feature store is asked; without `materialization`, which shapes no pods."""

    def content(self) -> dict[str, Any]:
        """As plain values, without what is at its default: a field added later changes no record that exists."""
        unset = {one.name for one in fields(self) if getattr(self, one.name) == one.default}
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in unset - _ALWAYS}
        parts = {key: value for key, value in kept.items() if isinstance(value, ApiModel)}
        return kept | {key: part.model_dump(mode="json", exclude_defaults=True) for key, part in parts.items()}


_ALWAYS = {"credentials"}
"""Written with its default, too, since before there was a second one."""


@dataclass(frozen=True)
class Problem:
    """Why pods of a revision (or the resolver) do not get on. `permanent`: waiting cannot help."""

    reason: str
    message: str
    permanent: bool = False


@dataclass(frozen=True)
class Autoscaler:
    """What an HPA says. `active` is its ScalingActive condition, None while unknown."""

    desired: int
    active: bool | None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Workload:
    """A revision's pods as its Deployment (and HPA, and pods) report them."""

    wanted: int
    ready: int
    available: int
    problem: Problem | None = None
    autoscaler: Autoscaler | None = None
    model_version: str = ""
    """What the package calls itself, as the pods that fetched it said."""
    card: Mapping[str, str] = field(default_factory=dict)
    """What its model card says in short; the same pods said so."""


@dataclass(frozen=True)
class Certificate:
    """What a router serves TLS with: when it expires (Unix time), and how many others it did not take."""

    expires_at: float
    refused: int = 0


@dataclass(frozen=True)
class RouterPod:
    """One router pod. `config_version` is the version its Envoy says it applies (None: did not answer);
    `healthy` counts the members its Envoy holds healthy, by revision. `refused`: it took over only a part of what it
    was told.
    """

    name: str
    ready: bool
    config_version: str | None = None
    healthy: Mapping[str, int] = field(default_factory=dict)
    certificate: Certificate | None = None
    refused: bool = False


@dataclass(frozen=True)
class RouterState:
    """The router's pods, and the weights its ConfigMap or route carries (the last that were decided).

    At a gateway each place where a route hangs stands for a pod: ready where the gateway has accepted the route, of the
    version that its controller has seen. `former`: objects of the other backend are still there.
    """

    wanted: int = 0
    pods: tuple[RouterPod, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    problem: Problem | None = None
    former: bool = False


@dataclass(frozen=True)
class Resolver:
    """The job that resolves a URI to a digest."""

    state: Literal["Running", "Succeeded", "Failed"]
    digest: str = ""
    problem: Problem | None = None
    since: str = ""
    """When it was created, as a timestamp."""
    version: str = ""
    """What the package calls itself."""
    uri: str = ""
    """The immutable URI behind a reference; empty where the URI is none."""


@dataclass(frozen=True)
class Run:
    """A job that fills the feature store. `since` and `ended` are the cluster's timestamps; `ended` is empty while it
    runs. `problem`: why it failed, or what its newest pod struggles with.
    """

    name: str
    state: Literal["Running", "Succeeded", "Failed"]
    since: str
    ended: str = ""
    problem: Problem | None = None


@dataclass(frozen=True)
class Materialization:
    """What is seen of the feature store being filled; `scheduled`: when a run was due last, empty before the first."""

    scheduled: str = ""
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Excuse:
    """What of a window the feature store is to blame for, or may be; see `outages`.

    `left_out`: errors while the store was away. `doubtful`: errors of which nobody can tell yet, or any more, whether
    it was. `clouded`: the store was, or may have been, missed in the window, so that times and answers say little.
    `over`: and it has been there again for a while. `untold`: a pod does not tell its part, and all that it may have
    to tell is in doubt.
    """

    left_out: int = 0
    doubtful: int = 0
    clouded: bool = False
    over: bool = False
    untold: bool = False


@dataclass(frozen=True)
class Window:
    """What a revision did since the analysis window opened. `errors`: requests answered with 5xx, from the routers.
    `latency`: cumulative histogram, upper bound in seconds (inf last) -> count, from the runtime; None where a pod did
    not answer. `pairs`: answers to copies that were compared with stable's, None where they cannot be read, and
    `different` ones of them. `excuse`: of the errors.
    """

    requests: int = 0
    errors: int = 0
    latency: Mapping[float, float] | None = field(default_factory=dict)
    pairs: int | None = None
    different: int = 0
    excuse: Excuse = Excuse()


@dataclass(frozen=True)
class Answer:
    """What a question outside of the cluster was answered with. `fault`: there is no answer, and `message` says why.

    `value` is a query's, None where it has none; `yes` a webhook's.
    """

    fault: bool = False
    yes: bool = False
    value: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Observed:
    """Everything one reconcile pass knows of the cluster."""

    records: Mapping[str, RevisionRecord] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    router: RouterState = field(default_factory=RouterState)
    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    windows: Mapping[str, Window] | None = None
    """By revision, none of them on the first look; None while measurements cannot be had (a metrics fault)."""
    comparison: Comparison | None = None
    """Of the canary's answers with stable's; None while nothing is copied, or nothing can be compared."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """To the questions that are due, by their id; those still to come are missing."""
    absent: frozenset[str] = frozenset()
    """Kinds that the operator could use and the cluster does not have: Gateway API's."""
    materialization: Materialization = Materialization()
    refused: Problem | None = None
    """What the API server said no to when the last plan was carried out."""
