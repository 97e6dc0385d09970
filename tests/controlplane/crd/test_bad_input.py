"""Bad input is refused at `kubectl apply`, with the field and a reason that a person can act on."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from controlplane.crd.definition import try_apply
from support.kube import Kube

GOOD_URI = "https://models.example/store-revenue-1.tar.gz"


@dataclass(frozen=True)
class Refused:
    """A manifest that must be refused; every text of `told` must be in the answer."""

    case: str
    told: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    name: str = "store-revenue"

    def manifest(self) -> dict[str, Any]:
        return manifest({"model": {"uri": GOOD_URI, **self.model}, **self.spec}, self.name)


def manifest(spec: dict[str, Any], name: str = "store-revenue") -> dict[str, Any]:
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


def steps(*weights: Any, **fields: Any) -> dict[str, Any]:
    return {"rollout": {"steps": [{"weight": weight, **fields} for weight in weights]}}


def match(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"match": [fields]}}


def check(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"analysis": {"checks": [fields]}}}


def compared(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"mirror": {}, "analysis": {"checks": [fields]}}}


def webhooks(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"webhooks": [{"name": "board", "url": "http://board/ask"} | fields]}}


def access(**fields: Any) -> dict[str, Any]:
    return {"access": fields}


def by_token(**fields: Any) -> dict[str, Any]:
    return access(mode="JWT", jwt={"issuer": "https://login.example"} | fields)


def features(**fields: Any) -> dict[str, Any]:
    return {"features": {"store": {"url": "http://feast:6566"}} | fields}


def materialized(schedule: str, **fields: Any) -> dict[str, Any]:
    """Features that are written on a schedule."""
    definitions = {"configMapRef": {"name": "definitions"}}
    return features(materialization={"schedule": schedule, "definitions": definitions} | fields)


OWN_FEATURES: dict[str, Any] = {
    "service": "revenue",
    "entities": [{"name": "store_id", "datatype": "INT64"}],
    "inputs": [{"feature": "size", "default": 0.5, "maxAge": "7d"}, {"feature": "kind", "default": "no"}],
}

KEYS_AT = {"jwksUri": "https://login.example/keys"}
MLFLOW = {"endpoint": "http://mlflow.ml.svc:5000"}
ALIAS = {"uri": "models:/shop@champion", "poll": "1m", **MLFLOW}
KEYLESS = {"issuer": "https://accounts.example", "identity": "a@b.example"}

TABLE = (
    Refused("an unknown field of the spec", ("spec.replica", "not declared"), spec={"replica": 3}),
    Refused(
        "an unknown field of the model", ("spec.model.digst", "not declared"), model={"digst": "sha256:" + "0" * 64}
    ),
    Refused(
        "a misspelt part of the pod template", ("podTemplate.sepc",), spec={"runtime": {"podTemplate": {"sepc": {}}}}
    ),
    Refused("neither http nor https", ("http: Disabled needs tls",), spec={"endpoint": {"http": "Disabled"}}),
    Refused("features without a store", ("spec.features.store", "Required"), spec={"features": {"timeout": "1s"}}),
    Refused("a store without a scheme", ("spec.features.store.url",), spec={"features": {"store": {"url": "feast"}}}),
    Refused("a service without its keys", ("set all three, or none",), spec=features(service="revenue")),
    Refused(
        "a key of a type that no key has",
        ("spec.features.entities[0].datatype", "INT64"),
        spec=features(**OWN_FEATURES | {"entities": [{"name": "x", "datatype": "FP32"}]}),
    ),
    Refused(
        "a feature twice",
        ("spec.features.inputs", "duplicate entries for key", 'feature="a"'),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a"}, {"feature": "a"}]}),
    ),
    Refused(
        "a default that is a list",
        ("spec.features.inputs[0].default",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "default": [1]}]}),
    ),
    Refused(
        "a default that is an object",
        ("spec.features.inputs[0].default",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "default": {"a": 1}}]}),
    ),
    Refused(
        "an age without a unit",
        ("spec.features.inputs[0].maxAge",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "maxAge": "7"}]}),
    ),
    Refused("a lookup without time", ("timeout is more than 0s",), spec=features(timeout="0s")),
    Refused("a lookup that takes its time", ("at most 10s",), spec=features(timeout="11s")),
    Refused("a cache of nothing", ("leave cache out for none",), spec=features(cache={"maxAge": "0s"})),
    Refused("a policy nobody knows", ("spec.features.onMissing", "Default"), spec=features(onMissing="Ignore")),
    Refused("a schedule in words", ("a schedule has five fields",), spec=materialized("every night")),
    Refused("a schedule of six fields", ("a schedule has five fields",), spec=materialized("0 30 4 * * *")),
    Refused("a minute that no hour has", ("a schedule has five fields",), spec=materialized("60 4 * * *")),
    Refused("a Sunday of another cron", ("0, Sunday, to 6",), spec=materialized("30 4 * * 7")),
    Refused("a descriptor that cron does not know", ("a schedule has five fields",), spec=materialized("@Daily")),
    Refused("a zone in the schedule", ("belongs into timeZone",), spec=materialized("TZ=UTC 30 4 * * *")),
    Refused(
        "a schedule without definitions",
        ("spec.features.materialization.definitions", "Required"),
        spec=features(materialization={"schedule": "@daily"}),
    ),
    Refused(
        "a view twice",
        ("spec.features.materialization.views", "duplicate entries"),
        spec=materialized("@daily", views=["a", "a"]),
    ),
    Refused("no views at all", ("spec.features.materialization.views",), spec=materialized("@daily", views=[])),
    Refused("a run without time", ("deadline is at least 1s",), spec=materialized("@daily", deadline="0s")),
    Refused(
        "a run that is late at once",
        ("startingDeadline is at least 10s",),
        spec=materialized("@daily", startingDeadline="9s"),
    ),
    Refused(
        "runs that leave no trace", ("failedJobsHistoryLimit",), spec=materialized("@daily", failedJobsHistoryLimit=0)
    ),
    Refused(
        "a misspelt part of the job's pod template",
        ("podTemplate.sepc",),
        spec=materialized("@daily", podTemplate={"sepc": {}}),
    ),
    Refused(
        "an accelerator nobody knows",
        ("spec.runtime.accelerator", '"nvidia"'),
        spec={"runtime": {"accelerator": "gpu"}},
    ),
    Refused(
        "a name that is no execution provider",
        ("spec.runtime.providers[0].name", "ExecutionProvider"),
        spec={"runtime": {"providers": [{"name": "cuda"}]}},
    ),
    Refused("weights that fall", ("spec.rollout.steps", "weights of steps must rise"), spec=steps(50, 10)),
    Refused("weights that stay", ("spec.rollout.steps", "weights of steps must rise"), spec=steps(10, 50, 50)),
    Refused("a weight above 100", ("spec.rollout.steps[1].weight", "less than or equal to 100"), spec=steps(50, 101)),
    Refused("a weight of nothing without testers", ("spec.rollout", "weight 0 needs match"), spec=steps(0)),
    Refused("a match of nothing", ("spec.rollout.match[0]", "header, cookie or both"), spec=match()),
    Refused("a header without a value", ("match[0].header", "exactly one of"), spec=match(header={"name": "x"})),
    Refused(
        "a header with two kinds of value",
        ("match[0].header", "exactly one of"),
        spec=match(header={"name": "x", "value": "1", "regex": "1"}),
    ),
    Refused(
        "a header that must be absent",
        ("present can only be true",),
        spec=match(header={"name": "x", "present": False}),
    ),
    Refused(
        "a header that the router removes",
        ("match[0].header.name", "x-envoy-"),
        spec=match(header={"name": "X-Envoy-Internal", "value": "true"}),
    ),
    Refused(
        "a pseudo header", ("match[0].header.name", "should match"), spec=match(header={"name": ":path", "value": "/"})
    ),
    Refused("no regular expression", ("header.regex",), spec=match(header={"name": "x", "regex": "("})),
    Refused(
        "a regular expression that explodes",
        ("header.regex", "counted repetitions"),
        spec=match(header={"name": "x", "regex": "((a{99}){99}){99}"}),
    ),
    Refused(
        "steps of a rollout that switches once",
        ("spec.rollout", "BlueGreen moves all traffic at once"),
        spec={"rollout": {"strategy": "BlueGreen", "steps": [{"weight": 10}]}},
    ),
    Refused(
        "a preview of a rollout by steps",
        ("spec.rollout", "preview belongs to the strategy BlueGreen"),
        spec={"rollout": {"preview": {"hold": "1m"}}},
    ),
    Refused(
        "users who are known by two things",
        ("spec.router.sticky", "exactly one of cookie and header"),
        spec={"router": {"sticky": {"cookie": {}, "header": "x-user"}}},
    ),
    Refused(
        "a cookie that is forgotten at once",
        ("sticky.cookie.ttl", "at least 1s"),
        spec={"router": {"sticky": {"cookie": {"ttl": "500ms"}}}},
    ),
    Refused(
        "a cookie's value that no cookie can have",
        ("cookie.value", "should match"),
        spec=match(cookie={"name": "t", "value": "a;b"}),
    ),
    Refused("a step without a weight", ("spec.rollout.steps[0].weight", "Required"), spec={"rollout": {"steps": [{}]}}),
    Refused("too many steps", ("spec.rollout.steps", "at most 20"), spec=steps(*range(1, 22))),
    Refused(
        "minReplicas above maxReplicas",
        ("spec.scaling", "minReplicas must not be above maxReplicas"),
        spec={"scaling": {"minReplicas": 5, "maxReplicas": 3}},
    ),
    Refused(
        "maxReplicas below the default of minReplicas",
        ("spec.scaling.maxReplicas", "greater than or equal to 1"),
        spec={"scaling": {"maxReplicas": 0}},
    ),
    Refused(
        "a fixed number of pods and autoscaling",
        ("spec.scaling", "set one of them"),
        spec={"scaling": {"replicas": 2, "maxReplicas": 3}},
    ),
    Refused(
        "autoscaling on a resource without a request",
        ("spec", "runtime.resources.requests"),
        spec={"scaling": {"maxReplicas": 3, "metric": "memory"}, "runtime": {"resources": {"requests": {"cpu": 1}}}},
    ),
    Refused("no URI scheme", ("spec.model.uri", "http|https|s3|gs|az|oci|hf|pvc|file"), model={"uri": "/models/1"}),
    Refused(
        "an unknown URI scheme",
        ("spec.model.uri", "http|https|s3|gs|az|oci|hf|pvc|file"),
        model={"uri": "ftp://host/1.tar.gz"},
    ),
    Refused("an http URI without a path", ("spec.model.uri", "host and the path"), model={"uri": "https://host/"}),
    Refused("credentials in the URI", ("spec.model.uri", "name a Secret"), model={"uri": "https://a:b@host/1.tar"}),
    Refused("a claim without a path", ("spec.model.uri", "pvc://CLAIM/PATH"), model={"uri": "pvc://claim"}),
    Refused("a claim that cannot exist", ("spec.model.uri", "pvc://CLAIM/PATH"), model={"uri": "pvc://My_Claim/1"}),
    Refused("a file URI with a host", ("spec.model.uri", "three slashes"), model={"uri": "file://models/1"}),
    Refused("a path that climbs", ("spec.model.uri", "'..'"), model={"uri": "pvc://claim/models/../../etc"}),
    Refused("a bucket without a key", ("spec.model.uri", "s3://BUCKET/KEY"), model={"uri": "s3://models"}),
    Refused("a key that climbs", ("spec.model.uri", "'..'"), model={"uri": "gs://models/a/../b"}),
    Refused("an artifact in capitals", ("oci://REGISTRY/REPOSITORY:TAG",), model={"uri": "oci://r.example/Shop:1"}),
    Refused("a short digest of an artifact", ("@sha256:DIGEST",), model={"uri": "oci://r.example/shop@sha256:12"}),
    Refused("a hub's organization alone", ("hf://ORGANIZATION/NAME",), model={"uri": "hf://ours"}),
    Refused("a registered model with two slashes", ("spec.model.uri",), model={"uri": "models://shop/1"}),
    Refused("a registered model's stage", ("models:/NAME@ALIAS",), model={"uri": "models:/shop/Production", **MLFLOW}),
    Refused("a registry that nobody names", ("spec.model", "needs endpoint"), model={"uri": "models:/shop@champion"}),
    Refused("an endpoint of a web server", ("spec.model", "says itself where it leads"), model=MLFLOW),
    Refused("credentials in the endpoint", ("model.endpoint",), model={"uri": "s3://a/b", "endpoint": "http://a:b@s3"}),
    Refused("polling what cannot move", ("spec.model", "one that can"), model={"poll": "1m"}),
    Refused("polling a version", ("one that can",), model={"uri": "models:/shop/3", "poll": "1m", **MLFLOW}),
    Refused("polling a commit", ("one that can",), model={"uri": f"hf://ours/shop@{'0' * 40}/onnx", "poll": "1m"}),
    Refused(
        "polling an artifact's digest",
        ("one that can",),
        model={"uri": f"oci://r.example/shop@sha256:{'0' * 64}", "poll": "1m"},
    ),
    Refused("polling all the time", ("poll is at least 10s",), model={**ALIAS, "poll": "9s"}),
    Refused("polling what is held", ("set one of them",), model={**ALIAS, "digest": "sha256:" + "0" * 64}),
    Refused("no size", ("spec.model.maxSize", "should match"), model={"maxSize": "0"}),
    Refused("credentials of nobody", ("spec.model.credentials", "name a Secret"), model={"credentials": {}}),
    Refused("a signature of nobody", ("spec.model.signature", "exactly one of"), model={"signature": {}}),
    Refused(
        "a signature of two kinds",
        ("spec.model.signature", "exactly one of"),
        model={"signature": {"keyless": KEYLESS, "publicKey": {"secretRef": {"name": "k"}}}},
    ),
    Refused("no model", ("spec.model", "must be of type object"), spec={"model": None}),
    Refused("a short digest", ("spec.model.digest", "sha256:[0-9a-f]{64}"), model={"digest": "sha256:12"}),
    Refused(
        "another kind of digest", ("spec.model.digest", "sha256:[0-9a-f]{64}"), model={"digest": "md5:" + "0" * 64}
    ),
    Refused(
        "a Secret name that cannot exist",
        ("spec.model.credentials.secretRef.name", "should match"),
        model={"credentials": {"secretRef": {"name": "My Secret"}}},
    ),
    Refused("a duration of no unit", ("spec.rollout.steps[0].hold", "ms|s|m|h"), spec=steps(10, hold="30")),
    Refused("a duration of an unknown unit", ("spec.rollout.steps[0].hold", "ms|s|m|h"), spec=steps(10, hold="2 days")),
    Refused("a duration as a number", ("spec.rollout.steps[0].hold", "string"), spec=steps(10, hold=30)),
    Refused("a duration beyond reason", ("spec.rollout.drainDelay", "720h"), spec={"rollout": {"drainDelay": "721h"}}),
    Refused(
        "a duration beyond what a computer holds",
        ("spec.rollout.drainDelay", "720h"),
        spec={"rollout": {"drainDelay": "99999999999h"}},
    ),
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
    Refused("an unknown way to know callers", ("spec.access.mode", '"Kubernetes", "JWT"'), spec=access(mode="Basic")),
    Refused("tokens of nobody", ("spec.access", "mode JWT needs jwt"), spec=access(mode="JWT")),
    Refused(
        "an issuer that nobody asks for",
        ("spec.access", "other modes have none"),
        spec=access(mode="Kubernetes", jwt={"issuer": "x", **KEYS_AT}),
    ),
    Refused("an issuer without keys", ("access.jwt", "exactly one of jwksUri"), spec=by_token()),
    Refused("keys from two places", ("access.jwt", "exactly one of jwksUri"), spec=by_token(jwks="{}", **KEYS_AT)),
    Refused(
        "a key that everybody reads and nobody may know",
        ("access.jwt", "public keys only"),
        spec=by_token(jwks='{"keys": [{"kty": "oct", "k": "x"}]}'),
    ),
    Refused("keys that are no URL", ("access.jwt.jwksUri", "https?://"), spec=by_token(jwksUri="file:///etc/passwd")),
    Refused("a port that is none", ("access.jwt.jwksUri",), spec=by_token(jwksUri="https://login.example:65536/keys")),
    Refused(
        "keys that are asked for all the time",
        ("access.jwt", "at least 10s"),
        spec=by_token(cacheDuration="1s", **KEYS_AT),
    ),
    Refused("CAs of no server", ("access.jwt", "caBundle belongs to"), spec=by_token(jwks="{}", caBundle="x")),
    Refused("no audience", ("access.audiences", "at least 1"), spec=access(mode="Kubernetes", audiences=[])),
    Refused(
        "a rule without callers",
        ("spec.access", "set mode to Kubernetes or JWT"),
        spec=access(data={"entities": ["x"], "rule": "true"}),
    ),
    Refused(
        "a rate without callers",
        ("spec.access", "set mode to Kubernetes or JWT"),
        spec=access(rateLimit={"requests": 1}),
    ),
    Refused(
        "a burst below the rate",
        ("access.rateLimit", "burst is at least requests"),
        spec=access(mode="Kubernetes", rateLimit={"requests": 10, "burst": 5}),
    ),
    Refused(
        "the unchecked let in past a rule",
        ("spec.access", "never lets anybody in"),
        spec=access(mode="Kubernetes", onUnavailable="Allow", data={"entities": ["x"], "rule": "true"}),
    ),
    Refused(
        "the unchecked let in by anybody's token",
        ("spec.access", "never lets anybody in"),
        spec=access(mode="JWT", jwt={"issuer": "x", **KEYS_AT}, onUnavailable="Allow"),
    ),
    Refused(
        "a request too large to be held",
        ("access.data", "at most 64Mi"),
        spec=access(mode="Kubernetes", data={"entities": ["x"], "rule": "true", "maxRequestBytes": "65Mi"}),
    ),
    Refused(
        "callers known at a gateway",
        ("spec", "a gateway has authentication of its own"),
        spec={
            **access(mode="Kubernetes"),
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
    Refused(
        "a quantity that is none",
        ("spec.runtime.resources.requests.cpu", "should match"),
        spec={"runtime": {"resources": {"requests": {"cpu": "half"}}}},
    ),
    Refused("no router pods", ("spec.router.replicas", "greater than or equal to 1"), spec={"router": {"replicas": 0}}),
    Refused(
        "a name too long for the objects made from it", ("metadata.name", "at most 40", "label of 63"), name="a" * 41
    ),
    Refused("a name that no Service may have", ("metadata.name", "begin with a letter", "DNS-1035"), name="1-store"),
    Refused("a name with a dot", ("metadata.name", "DNS-1035"), name="store.revenue"),
)


@pytest.mark.parametrize("refused", TABLE, ids=[row.case for row in TABLE])
def test_bad_input_is_refused_with_the_field_and_the_reason(kube: Kube, refused: Refused) -> None:
    answer = try_apply(kube, refused.manifest())
    assert not answer.accepted
    assert [text for text in refused.told if text not in answer.text] == [], answer.text


def test_the_same_manifest_without_the_mistakes_is_accepted(kube: Kube) -> None:
    answer = try_apply(kube, Refused("none", ()).manifest())
    assert answer.accepted, answer.text


MODELS: dict[str, dict[str, Any]] = {
    "an alias that is followed": ALIAS,
    "a version": {"uri": "models:/shop revenue/12", **MLFLOW},
    "an archive in a bucket": {"uri": "s3://models/shop/3.tar.gz", "endpoint": "https://minio.example:9000"},
    "a folder": {"uri": "gs://models/shop/3", "credentials": {"serviceAccountName": "reader"}, "maxSize": "500Mi"},
    "a container": {"uri": "az://models/shop/3", "credentials": {"secretRef": {"name": "azure"}}, "maxSize": 1000000},
    "a tag that is followed": {"uri": "oci://r.example:5000/team/shop:stable", "poll": "10s"},
    "an artifact": {"uri": f"oci://r.example/shop@sha256:{'0' * 64}", "signature": {"keyless": KEYLESS}},
    "a registry of an address": {"uri": "oci://[2001:db8::1]:5000/shop:1", "endpoint": "http://[2001:db8::1]:5000"},
    "a branch that is followed": {"uri": "hf://ours/shop@main/onnx", "poll": "1h"},
    "a repository with its kind": {"uri": "hf://models/ours/shop@v1.0"},
    "a key": {"signature": {"publicKey": {"secretRef": {"name": "k"}}}},
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_of_any_store_is_accepted(kube: Kube, model: dict[str, Any]) -> None:
    answer = try_apply(kube, Refused("none", (), model=model).manifest())
    assert answer.accepted, answer.text


def test_a_name_of_the_longest_length_is_accepted(kube: Kube) -> None:
    answer = try_apply(kube, Refused("none", (), name="a" * 40).manifest())
    assert answer.accepted, answer.text


def test_one_answer_names_several_mistakes(kube: Kube) -> None:
    answer = try_apply(kube, manifest({"model": {"uri": "ftp://x/y", "digest": "1"}, **steps(500)}))
    assert all(path in answer.text for path in ("spec.model.uri", "spec.model.digest", "steps[0].weight")), answer.text
