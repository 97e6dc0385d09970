"""What is refused of an analysis: checks, limits, compared answers and gates."""

from controlplane.crd.refused import Refused, check, compared, webhooks

TABLE = (
    Refused(
        "a check of an unknown metric",
        (
            "spec.rollout.analysis.checks[0].metric",
            '"errorRate", "latencyP50", "latencyP95", "latencyP99", "answersDiffer"',
        ),
        spec=check(metric="accuracy", max=1),
    ),
    Refused(
        "a check without a limit",
        ("spec.rollout.analysis.checks[0]", "max, maxTimesStable or both"),
        spec=check(metric="errorRate"),
    ),
    Refused(
        "an error rate in percent",
        ("spec.rollout.analysis.checks[0]", "fraction between 0 and 1"),
        spec=check(metric="errorRate", max=5),
    ),
    Refused(
        "a limit better than stable",
        ("spec.rollout.analysis.checks[0].maxTimesStable", "greater than or equal to 1"),
        spec=check(metric="latencyP99", maxTimesStable=0.5),
    ),
    Refused("a check of nothing", ("checks[0]", "exactly one of metric"), spec=check(name="x", max=1)),
    Refused(
        "a check of two things",
        ("checks[0]", "exactly one of metric"),
        spec=check(name="x", metric="errorRate", max=1, prometheus={"query": "up"}),
    ),
    Refused(
        "a query without a limit", ("checks[0]", "max, min or both"), spec=check(name="x", prometheus={"query": "up"})
    ),
    Refused("a query without a name", ("checks[0]", "needs a name"), spec=check(prometheus={"query": "up"}, max=1)),
    Refused(
        "a query with an unknown variable",
        ("checks[0].prometheus.query", "$canary"),
        spec=check(name="x", prometheus={"query": 'up{r="$revision"}'}, max=1),
    ),
    Refused(
        "a query relative to stable",
        ("checks[0]", "compare in the query"),
        spec=check(name="x", prometheus={"query": "up"}, max=1, maxTimesStable=2),
    ),
    Refused(
        "compared answers without copies",
        ("spec.rollout", "answersDiffer needs mirror"),
        spec=check(metric="answersDiffer", max=0.02),
    ),
    Refused(
        "compared answers beside stable's",
        ("checks[0]", "it has max alone"),
        spec=compared(metric="answersDiffer", max=0.02, maxTimesStable=2),
    ),
    Refused(
        "more than all answers",
        ("checks[0]", "fraction between 0 and 1"),
        spec=compared(metric="answersDiffer", max=2),
    ),
    Refused(
        "compared answers at a gateway",
        ("spec", "answersDiffer needs the backend Envoy"),
        spec={
            **compared(metric="answersDiffer", max=0.02),
            "router": {"backend": "GatewayAPI", "gateway": {"parentRefs": [{"name": "public"}]}},
        },
    ),
    Refused(
        "a negative tolerance",
        ("relativeTolerance", "greater than or equal to 0"),
        spec={"rollout": {"mirror": {"compare": {"relativeTolerance": -0.1}}}},
    ),
    Refused("a negative limit of a metric", ("checks[0]", "not negative"), spec=check(metric="errorRate", max=-1)),
    Refused(
        "a least value of a metric",
        ("checks[0]", "min is for prometheus"),
        spec=check(metric="errorRate", max=1, min=0),
    ),
    Refused(
        "a webhook with a limit", ("checks[0]", "no max"), spec=check(name="x", webhook={"url": "http://x"}, max=1)
    ),
    Refused(
        "an address that is neither http nor https",
        ("checks[0].webhook.url", "https?://"),
        spec=check(name="x", webhook={"url": "file:///etc/passwd"}),
    ),
    Refused(
        "a password in an address", ("webhook.url", "https?://"), spec=check(name="x", webhook={"url": "http://a:b@x"})
    ),
    Refused(
        "a timeout beyond a minute",
        ("webhook.timeout", "60"),
        spec=check(name="x", webhook={"url": "http://x", "timeout": "61s"}),
    ),
    Refused(
        "two checks of one name",
        ("analysis.checks", "names of checks must differ"),
        spec={"rollout": {"analysis": {"checks": [{"name": "x", "metric": "errorRate", "max": 1}] * 2}}},
    ),
    Refused(
        "a confidence of one",
        ("analysis.confidence", "less than or equal to"),
        spec={"rollout": {"analysis": {"confidence": 1, "checks": [{"metric": "errorRate", "max": 1}]}}},
    ),
    Refused("an unknown gate", ("webhooks[0].gate", '"confirmRollout"'), spec=webhooks(gate="confirm")),
    Refused(
        "a deadline of a gate that waits",
        ("webhooks[0]", "only confirmRollback"),
        spec=webhooks(gate="confirmRollout", deadline="1m"),
    ),
    Refused(
        "two webhooks of one name",
        ("rollout.webhooks", "names of webhooks must differ"),
        spec={"rollout": {"webhooks": [{"name": "x", "gate": "confirmRollout", "url": "http://x"}] * 2}},
    ),
    Refused(
        "an analysis without checks",
        ("spec.rollout.analysis.checks", "at least 1"),
        spec={"rollout": {"analysis": {"checks": []}}},
    ),
)
