"""`spec.rollout`: how a new version takes over. A change restarts nothing."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from sluice_operator.api.analysis import Analysis, Webhook
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.matching import Match
from sluice_operator.api.scalars import Duration


class Step(ApiModel):
    """One step of a rollout."""

    weight: Annotated[int, Field(ge=0, le=100)] = Field(
        description="Percent of the requests for the new version. 0: only requests that `match` finds."
    )
    hold: Duration = Field(
        default="0s",
        description="How long the weight is held, counted from when every router is seen to apply it.",
    )
    pause: bool = Field(
        default=False,
        description="Wait here for a person after the hold and a passing analysis, until `sluice promote NAME` lets "
        "it go on. The analysis goes on meanwhile and may take the version back.",
    )


class Compare(ApiModel):
    """When two answers to the same request count as the same.

    Two numbers of floating point may differ by absoluteTolerance + relativeTolerance * |stable's|; everything else
    (class labels, text, shapes, which requests are refused) has to be equal.
    """

    relative_tolerance: Annotated[float, Field(ge=0)] = Field(
        default=1e-4, description="As a fraction of stable's number. 0.05 for a model trained anew: within 5 percent."
    )
    absolute_tolerance: Annotated[float, Field(ge=0)] = Field(
        default=1e-6, description="In the output's own unit, for numbers near 0."
    )


class Mirror(ApiModel):
    """Copies of requests for a new version, before it answers anybody."""

    percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=100, description="Percent of the requests that are copied to the new version."
    )
    hold: Duration = Field(default="1m", description="How long, counted from when every router is seen to copy.")
    compare: Compare = Field(
        default=Compare(),
        description="How the new version's answers to copies are compared with stable's answers to the same requests. "
        "What is found stands in status.rollout.comparison; it decides something only in a check of answersDiffer. "
        "Needs the backend Envoy.",
    )


class Strategy(StrEnum):
    """The shape of a rollout."""

    canary = "Canary"
    blue_green = "BlueGreen"


class Preview(ApiModel):
    """What happens before the switch of a blue/green rollout."""

    hold: Duration = Field(default="0s", description="How long the new version is previewed at least.")
    pause: bool = Field(
        default=False, description="Switch when a person says so (`sluice promote NAME`), after the hold."
    )
    service: bool = Field(
        default=False,
        description="A second Service, <name>-preview, through which the new version is reached before the switch. "
        "Without a new version it answers 503.",
    )


def compares_nothing(analysis: str) -> str:
    """CEL: no check of an analysis is of answersDiffer."""
    return f"{analysis}.checks.all(c, !has(c.metric) || c.metric != 'answersDiffer')"


class Rollout(ApiModel):
    """How a new version takes over. Changing it restarts nothing."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.steps) || self.steps.all(s, s.weight > 0) || (has(self.match) && self.match.size() > 0)",
                "a step of weight 0 needs match: nobody else would reach the new version",
            ),
            (
                "self.strategy != 'BlueGreen' || !has(self.steps) || self.steps.size() == 0",
                "BlueGreen moves all traffic at once and has no steps: leave them out, or use the strategy Canary",
            ),
            (
                "!has(self.preview) || self.strategy == 'BlueGreen'",
                "preview belongs to the strategy BlueGreen: with Canary, a first step of weight 0 does the same",
            ),
            (
                f"has(self.mirror) || !has(self.analysis) || {compares_nothing('self.analysis')}",
                "a check of answersDiffer needs mirror: only answers to copied requests are compared",
            ),
        )
    )

    @model_validator(mode="before")
    @classmethod
    def _one_step_without_weight(cls, given: Any) -> Any:
        """Blue/green is a rollout of one step at which nobody but testers gets the new version."""
        if not isinstance(given, dict) or given.get("strategy") != Strategy.blue_green:
            return given
        preview = given.get("preview") or {}
        return {**given, "steps": [{"weight": 0, **{key: preview[key] for key in ("hold", "pause") if key in preview}}]}

    strategy: Strategy = Field(
        default=Strategy.canary,
        description="Canary: by `steps`. BlueGreen: all pods of the new version are started beside the old ones, it is "
        "previewed (by `match`, by preview.service, by copies of `mirror`), and then gets everything at once; old pods "
        "live on for drainDelay. An analysis needs requests for its verdict: those of a mirror are enough.",
    )
    preview: Preview | None = Field(default=None, description="Before the switch of BlueGreen.")
    steps: Annotated[list[Step], Field(max_length=20)] = Field(
        default_factory=list,
        description="Weights the new version walks through before it gets everything. Empty: all traffic moves as "
        "soon as the new version is ready.",
        json_schema_extra=rules(
            (
                "self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
                "weights of steps must rise",
            )
        ),
    )
    mirror: Mirror | None = Field(
        default=None,
        description="A phase before the first step: the new version gets copies of requests that the stable version "
        "answers, and its own answers are discarded. Callers notice nothing of it, whatever becomes of the copies. "
        "Errors and latency of the copies are judged by `analysis`, and so is, by a check of answersDiffer, what the "
        "answers say.",
    )
    match: Annotated[list[Match], Field(max_length=8)] = Field(
        default_factory=list,
        description="Testers: requests that any of these finds go to the new version as soon as its pods are ready, at "
        "any weight; all others go by weight. What testers see counts in the analysis like any other request.",
    )
    paused: bool = Field(
        default=False,
        description="No further step begins while it is true: the weight stays, the analysis goes on and may take the "
        "version back. A new version's pods start, without traffic. Does not hold the very first version, nor a "
        "rollback that was asked for.",
    )
    ready_deadline: Duration = Field(
        default="10m",
        description="How long pods of the new version may take to load the model before it is taken back.",
    )
    drain_delay: Duration = Field(
        default="30s", description="How long pods that lost their traffic live on, so that no request is cut."
    )
    analysis: Analysis | None = Field(
        default=None, description="How the new version is judged; none: by readiness only."
    )
    webhooks: Annotated[
        list[Webhook],
        Field(
            max_length=8,
            json_schema_extra=rules(
                ("self.all(w, self.exists_one(v, v.name == w.name))", "names of webhooks must differ")
            ),
        ),
    ] = Field(default_factory=list, description="Services that must say yes before the rollout goes on.")

    def weight_at(self, step: int) -> int:
        """Percent of the requests for the new version at a step; after the last one everything."""
        return self.steps[step].weight if step < len(self.steps) else 100
