"""What is true: `status` of a ModelDeployment. It also carries the rollout's progress, so that an operator killed at
any instant goes on from what is written.
"""

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]


class StatusModel(ApiModel):
    """A part of status. Fields of another operator version are passed over: status is a report, not an order."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """A condition after the Kubernetes API conventions."""

    type: str = Field(description="Name of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int = Field(default=0, description="The generation the condition speaks of.")
    last_transition_time: str = Field(description="When the status last changed.")
    reason: str = Field(description="Why, in one CamelCase word.")
    message: str = Field(default="", description="Why, for a person, with what to change.")


class RevisionStatus(StatusModel):
    """A revision that is running."""

    revision: str = Field(description="Hash of what shapes its pods; part of its objects' names.")
    spec_hash: str = Field(description="Hash of the part of the spec it was made from.")
    uri: str = Field(description="Where its package came from: the immutable URI where the spec's can move.")
    reference: str = Field(default="", description="The tag, branch or alias that stood for it; empty where none did.")
    digest: str = Field(default="", description="Pinned digest of its package.")
    image: str = Field(default="", description="Pinned runtime image.")
    model_version: str = Field(default="", description="Version that the package says of itself, where it is known.")
    card: dict[str, str] | None = Field(
        default=None, description="What the package's model card says in short: description, owner, metrics."
    )
    replicas: int = Field(default=0, description="Pods wanted.")
    ready_replicas: int = Field(default=0, description="Pods with the model loaded.")


class Phase(StrEnum):
    """Where a rollout stands."""

    starting = "Starting"
    mirroring = "Mirroring"
    stepping = "Stepping"
    promoting = "Promoting"
    rolling_back = "RollingBack"


Verdict = Literal["Pass", "Fail", "Inconclusive", "Error"]


class CheckResult(StatusModel):
    """What one check of a measurement saw."""

    name: str = Field(description="The check's name, or its metric.")
    verdict: Verdict = Field(
        description="Pass, Fail, Inconclusive (too little data) or Error (it could not be measured)."
    )
    value: float | None = Field(default=None, description="The canary's value: a fraction, seconds, or the query's.")
    limit: float | None = Field(default=None, description="The nearest limit, that relative to stable included.")
    requests: int = Field(default=0, description="Canary requests it rests on.")
    dry_run: bool = Field(default=False, description="Whether it is only shown and never counted.")
    message: str = Field(default="", description="Value against limit, for a person.")


class Measurement(StatusModel):
    """One judgement of the canary."""

    time: str = Field(description="When it was made.")
    verdict: Verdict = Field(description="Its outcome: the worst of the checks that count.")
    requests: int = Field(description="Canary requests it rests on.")
    left_out: int = Field(
        default=0, description="Canary requests that count for nothing: the feature store was away, for stable as well."
    )
    message: str = Field(default="", description="Values against limits.")
    checks: list[CheckResult] = Field(default_factory=list, description="Each check by itself.")


class AnalysisStatus(StatusModel):
    """Counts of the analysis of this rollout; bounded."""

    passed: int = Field(default=0, description="Measurements that passed.")
    failed: int = Field(default=0, description="Measurements that failed.")
    inconclusive: int = Field(default=0, description="Measurements without enough data.")
    errors: int = Field(default=0, description="Measurements that could not be made.")
    errors_in_row: int = Field(default=0, description="Of those, the last ones without another between them.")
    passed_in_step: int = Field(default=0, description="Measurements that passed since the step's hold began.")
    windows: int = Field(
        default=0, description="Windows opened so far; each may use less of the tolerated probability of error."
    )
    window_since: str | None = Field(default=None, description="When the present window was opened.")
    last_measured_at: str | None = Field(default=None, description="Time of the last measurement.")
    measurements: list[Measurement] = Field(default_factory=list, description="The last few measurements.")


class OutputComparison(StatusModel):
    """How an output differs."""

    name: str = Field(description="The output.")
    different: int = Field(default=0, description="Pairs in which it differs.")
    largest_difference: float = Field(
        default=0.0, description="The largest difference of two numbers of floating point, in the output's own unit."
    )


class ComparisonStatus(StatusModel):
    """What the canary says to copies of requests, beside what stable says to the same requests; bounded."""

    pairs: int = Field(default=0, description="Requests whose two answers were compared.")
    different: int = Field(default=0, description="Those to which the canary says something else.")
    errors: int = Field(default=0, description="Of those, the ones that one of the two answered with an error.")
    outputs: list[OutputComparison] = Field(default_factory=list, description="By output, that with most first.")
    at: str = Field(description="When it was last written down.")


class GateStatus(StatusModel):
    """What a webhook said that must say yes."""

    name: str = Field(description="Name of the webhook.")
    gate: str = Field(description="What it is asked for.")
    answer: Literal["Waiting", "Confirmed", "Refused"] = Field(description="Its last answer.")
    message: str = Field(default="", description="What it said, or why it could not be asked.")
    since: str = Field(description="Since when it is asked.")


class Pause(StatusModel):
    """Why and since when the rollout waits for a person."""

    cause: Literal["Step", "Request", "Spec"] = Field(
        description="Step: a step with `pause`, which a promote leaves; Request: a pause that was asked for, which a "
        "resume or promote ends; Spec: spec.rollout.paused."
    )
    since: str = Field(description="Since when.")
    by: str = Field(default="", description="Who asked for it.")


class RolloutStatus(StatusModel):
    """Progress of the rollout under way."""

    phase: Phase = Field(description="Starting, Mirroring, Stepping, Promoting or RollingBack.")
    started_at: str = Field(description="When the rollout began.")
    skip_steps: bool = Field(default=False, description="A return to a version that was stable before.")
    mirrored: bool = Field(default=False, description="Whether the mirror phase is over, or there was none.")
    step: int = Field(default=0, description="Index of the step, from 0.")
    weight: int = Field(default=0, description="Percent of the requests the routers are told to give the canary.")
    weight_set_at: str | None = Field(default=None, description="When that weight was decided.")
    waiting_since: str | None = Field(
        default=None, description="Since when it waits for ready pods; the readyDeadline counts from here."
    )
    verified_weight: int = Field(default=0, description="Percent that every router is seen to apply.")
    hold_started_at: str | None = Field(default=None, description="When the weight was first verified.")
    stable_replicas: int = Field(default=0, description="Stable's pods when the rollout began: its floor meanwhile.")
    analysis: AnalysisStatus = Field(default=AnalysisStatus(), description="Judgement so far.")
    comparison: ComparisonStatus | None = Field(
        default=None, description="The canary's answers to copies of requests, beside stable's."
    )
    gates: list[GateStatus] = Field(default_factory=list, description="Webhooks that were asked in this rollout.")
    failure: "Failure | None" = Field(default=None, description="Why it is being taken back.")
    requested_by: str = Field(
        default="", description="Who asked for it: a field manager, a request's `by`, or a reference that moved."
    )
    walk: list[int] | None = Field(
        default=None, description="Weights of the steps it walks, by which changed steps are noticed."
    )
    pause: Pause | None = Field(default=None, description="Why it waits for a person.")
    full: bool = Field(default=False, description="A full promote: no more steps, pauses and analysis.")
    released_step: int | None = Field(default=None, description="The step whose pause a promote has left.")


class Failure(StatusModel):
    """Why a revision was refused or taken back."""

    reason: str = Field(description="One CamelCase word.")
    message: str = Field(description="For a person, with what to change.")
    blocks: bool = Field(default=True, description="Whether this spec stays blocked until it changes.")


class Blocked(StatusModel):
    """A spec that was refused or taken back; it stays so until the spec changes, or the reference that it follows."""

    spec_hash: str = Field(description="Hash of the blocked part of the spec.")
    revision: str = Field(default="", description="The revision, if it got that far.")
    uri: str = Field(default="", description="What the spec's URI stood for; empty where that was never known.")
    reason: str = Field(description="One CamelCase word.")
    message: str = Field(description="For a person, with what to change.")
    at: str = Field(description="When.")
    instead: str = Field(
        default="", description="The former revision that is stable instead, or on its way there, by request."
    )
    by: str = Field(default="", description="Who asked for that.")


class Draining(StatusModel):
    """A revision without traffic whose pods finish what they have."""

    revision: str = Field(description="The revision.")
    since: str | None = Field(default=None, description="When every router was seen to send it nothing.")


class Resolved(StatusModel):
    """A URI and the digest it was resolved to before traffic."""

    spec_hash: str = Field(description="Hash of the part of the spec it was resolved for.")
    uri: str = Field(description="The URI: the immutable one where the spec's can move.")
    reference: str = Field(default="", description="The tag, branch or alias that stood for it; empty where none did.")
    digest: str = Field(description="The digest found.")
    version: str = Field(default="", description="Version that the package says of itself.")
    at: str = Field(default="", description="When it was found.")


class PollStatus(StatusModel):
    """The last look at what a reference stands for (spec.model.poll)."""

    spec_hash: str = Field(description="Hash of the part of the spec whose reference was looked at.")
    started_at: str = Field(description="When it began; the next one is due within spec.model.poll.")
    running: bool = Field(default=False, description="Whether it is still under way.")
    known_uri: str = Field(default="", description="What the reference stood for before.")
    failures: int = Field(default=0, description="Looks in a row that failed.")
    reason: str = Field(default="", description="Why the last one failed, in one CamelCase word.")
    message: str = Field(default="", description="Why, for a person.")


class HistoryEntry(StatusModel):
    """A revision that came to an end or became stable."""

    revision: str = Field(description="The revision.")
    spec_hash: str = Field(description="Hash of the part of the spec it was made from.")
    uri: str = Field(description="Where its package came from.")
    digest: str = Field(default="", description="Digest of its package.")
    outcome: Literal["Promoted", "RolledBack", "Superseded"] = Field(description="How its rollout ended.")
    reason: str = Field(default="", description="Why it was taken back, or made stable outside the spec.")
    finished_at: str = Field(description="When.")
    model_version: str = Field(default="", description="Version that the package says of itself, where it is known.")
    message: str = Field(default="", description="The reason, for a person.")
    started_at: str = Field(default="", description="When its rollout began.")
    requested_by: str = Field(default="", description="Who asked for it: a field manager, or a request's `by`.")


class RequestStatus(StatusModel):
    """What became of a request (the annotation sluice.dev/request). Each id is handled once."""

    id: str = Field(description="Its id.")
    action: str = Field(default="", description="What it asked for.")
    outcome: Literal["Done", "Refused"] = Field(description="Done: decided, and carried out from there.")
    message: str = Field(default="", description="What was done, or why it was refused.")
    by: str = Field(default="", description="Who asked, as the request says.")
    at: str = Field(description="When it was answered.")


class FeaturesStatus(StatusModel):
    """How the feature store is filled (spec.features.materialization)."""

    last_scheduled: str | None = Field(default=None, description="When a run was due last.")
    last_success: str | None = Field(default=None, description="When a run last wrote everything; values are of then.")
    last_failure: str | None = Field(default=None, description="When a run last failed; a part may be written.")
    reason: str = Field(default="", description="Why that one failed, in one CamelCase word.")
    message: str = Field(default="", description="Why, in the job's own words, with what to change.")


class ModelDeploymentStatus(StatusModel):
    """Observed state of a ModelDeployment."""

    observed_generation: int = Field(default=0, description="The generation this status speaks of.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready, Promoted, Reconciling, Stalled, ModelLoaded, RouterReady, ScalingActive, RolloutHealthy; "
        "TLSReady, ReferenceFollowed, AccessReady and FeaturesReady where the spec asks for them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    reason: str = Field(default="", description="The most telling reason, for the printed table.")
    url: str = Field(default="", description="Where applications send requests.")
    preview_url: str = Field(default="", description="Where a new version is previewed, while there is one.")
    replicas: int = Field(default=0, description="Model pods, of all revisions.")
    ready_replicas: int = Field(default=0, description="Model pods that are ready, of all revisions.")
    selector: str = Field(default="", description="Label selector of the model pods, for autoscalers.")
    step: str = Field(default="", description="Step of the rollout as n/m.")
    stable: RevisionStatus | None = Field(default=None, description="The revision that owns the traffic.")
    canary: RevisionStatus | None = Field(default=None, description="The revision under judgement.")
    rollout: RolloutStatus | None = Field(default=None, description="Progress of the rollout under way.")
    draining: list[Draining] = Field(default_factory=list, description="Revisions that lost their traffic.")
    resolved: Resolved | None = Field(default=None, description="The last URI resolved to a digest.")
    poll: PollStatus | None = Field(default=None, description="The last look at what a reference stands for.")
    features: FeaturesStatus | None = Field(default=None, description="How the feature store is filled.")
    blocked: Blocked | None = Field(default=None, description="A spec that was refused or taken back.")
    history: list[HistoryEntry] = Field(default_factory=list, description="Former rollouts, newest first.")
    requests: list[RequestStatus] = Field(
        default_factory=list, description="The last requests and what became of them, newest first."
    )


RolloutStatus.model_rebuild()
