"""How a canary is judged and who is asked before it goes on: `spec.rollout.analysis` and `spec.rollout.webhooks`."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.scalars import DNS_LABEL_PATTERN, Duration, SecretRef

CheckName = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)]

# No user:password@, which would stand in the spec for everybody to read, and no fragment.
HTTP_PATTERN = r"^https?://[^/?#@\s]+(/[^#\s]*)?$"
HttpUrl = Annotated[str, Field(pattern=HTTP_PATTERN, max_length=2048)]

Timeout = Annotated[str, Field(pattern=r"^([1-9]|[1-5][0-9]|60)s$", max_length=3)]

VARIABLES = ("namespace", "name", "canary", "stable", "interval")
"""What a query may name with a `$` before it."""


def _known_variables_only() -> dict[str, Any]:
    known = "".join(f".replace('${name}', '')" for name in VARIABLES)
    shown = ", ".join(f"${name}" for name in VARIABLES)
    return rules((f"!self{known}.matches('[$][a-zA-Z_{{]')", f"the variables of a query are {shown}"))


class CheckMetric(StrEnum):
    """What a check looks at."""

    error_rate = "errorRate"
    latency_p50 = "latencyP50"
    latency_p95 = "latencyP95"
    latency_p99 = "latencyP99"
    answers_differ = "answersDiffer"


class PrometheusQuery(ApiModel):
    """A question to a Prometheus."""

    query: Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra=_known_variables_only())] = Field(
        description="PromQL that gives a scalar or a vector of one sample. $namespace, $name, $canary and $stable (the "
        "revisions) and $interval (of the analysis) are filled in. No sample or NaN is inconclusive; an answer that "
        "cannot be had, or one of several samples, is an error of the measurement, never a fault of the model."
    )


class WebhookCheck(ApiModel):
    """A question to a service of your own."""

    url: HttpUrl = Field(
        description="Where a JSON description of the rollout is posted. 200 passes, a 4xx fails, anything else is an "
        "error of the measurement. Redirects are not followed."
    )
    timeout: Timeout = Field(default="10s", description="How long the answer may take, 1s to 60s.")


class Check(ApiModel):
    """One limit a canary must keep."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.metric), has(self.prometheus), has(self.webhook)].filter(set, set).size() == 1",
                "a check has exactly one of metric, prometheus and webhook",
            ),
            (
                "!has(self.metric) || has(self.max) || has(self.maxTimesStable)",
                "a check needs max, maxTimesStable or both",
            ),
            (
                "!has(self.prometheus) || has(self.max) || has(self.min)",
                "a check with prometheus needs max, min or both",
            ),
            ("has(self.metric) || has(self.name)", "a check with prometheus or webhook needs a name"),
            ("has(self.metric) || !has(self.maxTimesStable)", "maxTimesStable is for metric: compare in the query"),
            ("has(self.prometheus) || !has(self.min)", "min is for prometheus"),
            ("!has(self.webhook) || !has(self.max)", "a webhook judges by itself: it has no max"),
            (
                "!has(self.metric) || !(self.metric in ['errorRate', 'answersDiffer']) || !has(self.max) || "
                "self.max <= 1.0",
                "max of errorRate and answersDiffer is a fraction between 0 and 1",
            ),
            (
                "!has(self.metric) || self.metric != 'answersDiffer' || !has(self.maxTimesStable)",
                "answersDiffer compares with stable by itself: it has max alone",
            ),
            (
                "!has(self.metric) || !has(self.max) || self.max >= 0.0",
                "max of a metric is not negative",
            ),
        )
    )

    name: CheckName | None = Field(
        default=None, description="How status and Events call the check; the metric's name where there is none."
    )
    metric: CheckMetric | None = Field(
        default=None,
        description="errorRate: fraction of requests answered with a 5xx (REST) or a server's status (gRPC), seen by "
        "the routers, without those of an outage of the feature store that stable met as well. latencyP50, latencyP95, "
        "latencyP99: percentiles in seconds, measured in the runtime. "
        "answersDiffer: fraction of the copied requests to which the new version says something else than stable, by "
        "mirror.compare; only while requests are copied. Judged by a sequential test, so that few requests neither "
        "condemn nor acquit.",
    )
    prometheus: PrometheusQuery | None = Field(
        default=None, description="Ask a Prometheus; its address is analysis.prometheus or the operator's own."
    )
    webhook: WebhookCheck | None = Field(default=None, description="Ask a service of your own.")
    max: float | None = Field(
        default=None,
        description="Absolute limit: a fraction for errorRate and answersDiffer, seconds for a latency, the query's "
        "unit for prometheus.",
    )
    min: float | None = Field(default=None, description="Least value of a query.")
    max_times_stable: Annotated[float, Field(ge=1)] | None = Field(
        default=None, description="Limit relative to the stable version over the same time."
    )
    dry_run: bool = Field(
        default=False, description="Measured and shown, but never counted: to try a limit before it decides anything."
    )

    @property
    def shown_name(self) -> str:
        """What status calls it."""
        return self.name or (self.metric.value if self.metric else "")


class OnInconclusive(StrEnum):
    """What happens when the data never suffices for a verdict."""

    rollback = "Rollback"
    proceed = "Proceed"


class PrometheusServer(ApiModel):
    """The Prometheus that checks ask."""

    url: HttpUrl = Field(description="Its address, without /api/v1: http://prometheus.monitoring:9090.")
    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the key `token`, sent as a bearer token. The operator must be allowed to read it "
        "(chart value analysis.readSecrets).",
    )


class Analysis(ApiModel):
    """How a canary is judged while it has traffic."""

    initial_delay: Duration = Field(
        default="0s",
        description="How long after each change of weight nothing is measured: requests in it count for nothing, so "
        "that caches and pods warm up.",
    )
    interval: Duration = Field(default="15s", description="Time between measurements.")
    min_requests: Annotated[int, Field(ge=1)] = Field(
        default=50,
        description="Fewest canary requests for a verdict; with fewer, the measurement is inconclusive and its "
        "window grows.",
    )
    confidence: Annotated[float, Field(ge=0.8, le=0.9999)] = Field(
        default=0.99,
        description="The probability with which a version that keeps all its limits is never failed in a whole "
        "rollout, over all its metric checks and however often it is measured.",
    )
    failure_limit: Annotated[int, Field(ge=0)] = Field(
        default=2,
        description="The rollout is taken back when more measurements than this have failed, over all steps.",
    )
    inconclusive_limit: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="onInconclusive happens when more measurements than this were inconclusive, over all steps. "
        "Without it only inconclusiveDeadline counts.",
    )
    error_limit: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="onInconclusive happens when more measurements than this in a row could not be made (routers, "
        "runtimes, Prometheus or a webhook did not answer). One that can be made starts the count anew. Without it "
        "only inconclusiveDeadline counts.",
    )
    inconclusive_deadline: Duration = Field(
        default="10m", description="How long a step may wait for its first verdict beyond its hold."
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.rollback,
        description="What happens at the inconclusiveDeadline, the inconclusiveLimit or the errorLimit.",
    )
    prometheus: PrometheusServer | None = Field(
        default=None, description="The Prometheus of checks with a query; none: the one the operator was given."
    )
    checks: Annotated[
        list[Check],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra=rules(
                (
                    "self.all(c, !has(c.name) || self.exists_one(d, has(d.name) && d.name == c.name))",
                    "names of checks must differ",
                )
            ),
        ),
    ] = Field(description="The limits.")


class Gate(StrEnum):
    """The moment at which a webhook is asked."""

    confirm_rollout = "confirmRollout"
    confirm_promotion = "confirmPromotion"
    confirm_rollback = "confirmRollback"


class Webhook(ApiModel):
    """A service that must say yes before a rollout goes on."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.deadline) || self.gate == 'confirmRollback'",
                "only confirmRollback has a deadline: the others wait as long as it takes",
            )
        )
    )

    name: CheckName = Field(description="How status and Events call it.")
    gate: Gate = Field(
        description="confirmRollout: before a new version gets its first request. confirmPromotion: before it gets "
        "all. confirmRollback: before one that was judged bad is taken back. The very first version and a return to a "
        "former one ask nobody."
    )
    url: HttpUrl = Field(
        description="Where a JSON description of the rollout is posted, every 10 seconds until it says yes. 200 is "
        "yes, a 4xx is no; anything else, and no answer, holds the rollout as well. Redirects are not followed."
    )
    timeout: Timeout = Field(default="10s", description="How long the answer may take, 1s to 60s.")
    deadline: Duration | None = Field(
        default=None, description="When confirmRollback is no longer waited for; 5m where it is not set."
    )
