"""What a user may ask for: `spec` of a ModelDeployment. The descriptions are what `kubectl explain` teaches."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from sluice.config import PROVIDER_PATTERN
from sluice.uri import KNOWN_SCHEMES
from sluice_operator.api.analysis import Analysis, Webhook
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.gateway import Gateway, RouterBackend
from sluice_operator.api.matching import Match, Sticky
from sluice_operator.api.scalars import Digest, Duration, Quantity, SecretRef

URI_PATTERN = rf"^({'|'.join(KNOWN_SCHEMES)})://.+$"

# What `sluice.uri.parse_uri` refuses, told at `kubectl apply` already.
URI_RULES = rules(
    (
        "!self.matches('^https?:') || self.matches('^https?://[^/?#@]+/[^?#]')",
        "an http(s) URI needs a host and the path of an archive, and no credentials: name a Secret in "
        "model.credentials",
    ),
    (
        "!self.startsWith('pvc:') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/+[^/]')",
        "write pvc://CLAIM/PATH, with the name of a PersistentVolumeClaim in this namespace",
    ),
    (
        "!self.startsWith('file:') || self.matches('^file:///+[^/]')",
        "a file URI has three slashes and names a folder or archive: file:///absolute/path",
    ),
    ("!self.matches('^(pvc|file):.*/[.][.](/|$)')", "the path must not hold '..'"),
)


class Credentials(ApiModel):
    """How the model store is asked."""

    secret_ref: SecretRef = Field(
        description="Secret with the keys `username` and `password`, or `token`. Only the step that downloads the "
        "package sees it, never the process that serves the model."
    )


class Model(ApiModel):
    """Which model package to serve."""

    uri: Annotated[str, Field(pattern=URI_PATTERN, max_length=2048, json_schema_extra=URI_RULES)] = Field(
        description="Where the model package is: https://, http:// (an archive), pvc://claim/path or file:///path "
        "(a folder or an archive). It is resolved to a digest once, before any traffic; changed bytes under the same "
        "URI are refused, so give a new version a new URI."
    )
    digest: Digest | None = Field(
        default=None,
        description="The package's digest, sha256:<64 hex digits>, as `sluice inspect` prints it. Without it the URI "
        "is resolved once and the digest found is pinned in status. A package with another digest never gets "
        "traffic.",
    )
    credentials: Credentials | None = Field(default=None, description="How to authenticate to the store.")


class Resources(ApiModel):
    """Compute resources, as in a Pod."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, max_length=16, description="What the scheduler reserves."
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="What the container may use at most. A CPU limit sets the number of inference threads.",
    )


class Batching(ApiModel):
    """How requests are gathered into one run of the model. Never a delay by default."""

    max_size: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=64, description="Most rows in one run. 1 turns batching off."
    )
    max_delay: Duration = Field(
        default="0ms",
        description="How long a request may wait for others. 0ms: requests gather only while the model is busy anyway.",
    )


def _text_map(description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": {"type": "string"}}


# A misspelt key beside metadata and spec is refused; what is inside spec only a dry run can judge, because its
# schema is that of the cluster's own Kubernetes version.
POD_TEMPLATE_SCHEMA: dict[str, Any] = {
    "properties": {
        "metadata": {
            "type": "object",
            "description": "Metadata added to the model pods.",
            "properties": {
                "labels": _text_map("Labels, except those of sluice.dev and app.kubernetes.io."),
                "annotations": _text_map("Annotations, except those of sluice.dev and app.kubernetes.io."),
            },
        },
        "spec": {
            "type": "object",
            "description": "Fields of a PodSpec: scalars and maps are set, containers, initContainers, volumes and "
            "env are merged by name.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
    }
}


class Accelerator(StrEnum):
    """The kind of processor beside the CPU that a model runs on."""

    none = "none"
    nvidia = "nvidia"


class Provider(ApiModel):
    """One of ONNX Runtime's execution providers."""

    name: Annotated[str, Field(pattern=PROVIDER_PATTERN, max_length=128)] = Field(
        description="Its name in ONNX Runtime, such as CUDAExecutionProvider, TensorrtExecutionProvider or "
        "OpenVINOExecutionProvider. The runtime image must hold it."
    )
    options: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=64)] = Field(
        default_factory=dict,
        description='Its options, as ONNX Runtime documents them, as text: {gpu_mem_limit: "4294967296"}.',
    )


class Runtime(ApiModel):
    """How model pods run. Changing anything here makes a new revision."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Runtime image. Without it the operator's default at the time the revision is made is pinned, "
        "so that an operator upgrade restarts no model pod.",
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "250m", "memory": "256Mi"}, limits={"memory": "512Mi"}),
        description="Resources of the runtime container.",
    )
    batching: Batching = Field(default=Batching(), description="Request batching.")
    accelerator: Accelerator = Field(
        default=Accelerator.none,
        description="nvidia: model pods ask for one GPU (nvidia.com/gpu: 1 in the limits, unless `resources` says "
        "another number), run the operator's image with CUDA (unless `image` names one) and load "
        "CUDAExecutionProvider. A pod that cannot load it ends with the reason AcceleratorUnavailable; it never "
        "serves from the CPU instead. Operators of the graph that the provider does not know run on the pod's CPU.",
    )
    providers: Annotated[list[Provider], Field(max_length=8)] = Field(
        default_factory=list,
        description="ONNX Runtime's execution providers, the preferred one first; the CPU always comes last by itself. "
        "Every one named must load, or the pod ends with the reason AcceleratorUnavailable. Empty: that of "
        "`accelerator`. For a processor that `accelerator` does not know, name its provider here, an image that holds "
        "it in `image`, and its device in resources.limits.",
    )
    pod_template: dict[str, Any] = Field(
        default_factory=dict,
        description="A partial pod template merged into the model pods: nodeSelector, tolerations, affinity, env of "
        "the container `runtime`, sidecars, volumes. Fields that would raise privileges are refused.",
        json_schema_extra=POD_TEMPLATE_SCHEMA,
    )


class ScalingMetric(StrEnum):
    """What the autoscaler holds at its target."""

    cpu = "cpu"
    memory = "memory"


class Scaling(ApiModel):
    """How many model pods a revision has."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                "minReplicas must not be above maxReplicas",
            ),
            (
                "!(has(self.replicas) && has(self.maxReplicas))",
                "replicas is a fixed number and maxReplicas turns autoscaling on: set one of them",
            ),
        )
    )

    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="A fixed number of pods, also set by `kubectl scale`. Excludes maxReplicas."
    )
    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1,
        description="Fewest pods. The number of pods where neither replicas nor maxReplicas is set.",
    )
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Most pods of a revision. Setting it turns autoscaling on."
    )
    metric: ScalingMetric = Field(default=ScalingMetric.cpu, description="What is held at the target.")
    target: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=70, description="Target utilisation, in percent of the request of the metric's resource."
    )


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


ROUTER_RESOURCES = Resources(requests={"cpu": "100m", "memory": "96Mi"}, limits={"memory": "256Mi"})


class Router(ApiModel):
    """What splits requests between revisions."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                # A default is checked alone, before those inside of it are filled in.
                "!has(self.backend) || self.backend != 'GatewayAPI' || has(self.gateway)",
                "the backend GatewayAPI needs gateway.parentRefs: the Gateway that leads to the model",
            ),
            (
                "!has(self.gateway) || (has(self.backend) && self.backend == 'GatewayAPI')",
                "gateway belongs to the backend GatewayAPI: set it, or leave gateway out",
            ),
            (
                "!has(self.gateway) || !has(self.sticky)",
                "sticky needs the backend Envoy: the standard channel of Gateway API knows no users",
            ),
            (
                "!has(self.gateway) || (self.replicas == 2 && has(self.resources.requests) && "
                "self.resources.requests == {'cpu': '100m', 'memory': '96Mi'} && has(self.resources.limits) && "
                "self.resources.limits == {'memory': '256Mi'})",
                "replicas and resources are those of the backend Envoy: a gateway has pods of its own",
            ),
        )
    )

    backend: RouterBackend = Field(
        default=RouterBackend.envoy,
        description="Envoy: routers of this model's own, which need nothing else in the cluster and tell the operator "
        "what they apply. GatewayAPI: an HTTPRoute (and GRPCRoute) at a gateway that is there already; docs/gateway.md "
        "says what that gives up. Changes only while no rollout is under way.",
    )
    gateway: Gateway | None = Field(default=None, description="With the backend GatewayAPI: the gateway.")
    replicas: Annotated[int, Field(ge=1, le=100)] = Field(default=2, description="Router pods of the backend Envoy.")
    resources: Resources = Field(
        default=ROUTER_RESOURCES,
        description="Resources of a router pod of the backend Envoy.",
    )
    sticky: Sticky | None = Field(
        default=None,
        description="A user stays on one version: weights are shares of the users. While weights rise a user moves at "
        "most once, to the new version; where that is taken back its users return at once. none: weights are shares "
        "of the requests, each drawn for itself.",
    )


class EndpointTLS(ApiModel):
    """The certificate of the endpoint."""

    secret_ref: SecretRef = Field(
        description="Secret of type kubernetes.io/tls (keys `tls.crt`, the whole chain, and `tls.key`). The routers "
        "take a new one without a restart, once the kubelet has brought it to them (about a minute), and do not take "
        "one that is broken. Only the routers see it."
    )


class PlainHTTP(StrEnum):
    """Whether the endpoint answers without TLS."""

    enabled = "Enabled"
    disabled = "Disabled"


class Endpoint(ApiModel):
    """How applications reach the model."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.http) || self.http != 'Disabled' || has(self.tls)",
                "http: Disabled needs tls: nobody could ask",
            ),
        )
    )

    tls: EndpointTLS | None = Field(
        default=None,
        description="HTTPS on port 443, for REST (HTTP/1.1, HTTP/2) and gRPC (HTTP/2). none: no TLS.",
    )
    http: PlainHTTP = Field(
        default=PlainHTTP.enabled,
        description="Enabled: port 80 answers without TLS, beside port 443 where `tls` is set. Disabled: only port 443 "
        "is there.",
    )


_ENVOY = "!has(self.router.gateway)"


class ModelDeploymentSpec(ApiModel):
    """Desired state of a ModelDeployment."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.scaling.maxReplicas) || (has(self.runtime.resources.requests) && "
                "self.scaling.metric in self.runtime.resources.requests)",
                "autoscaling by utilisation needs the metric's resource in runtime.resources.requests",
            ),
            (
                f"{_ENVOY} || !has(self.endpoint.tls)",
                "endpoint.tls needs the backend Envoy: a gateway's listeners have certificates of their own",
            ),
            (
                f"{_ENVOY} || !has(self.rollout.preview) || !self.rollout.preview.service",
                "preview.service needs the backend Envoy: with a gateway, preview by rollout.match",
            ),
            (
                f"{_ENVOY} || !has(self.rollout.analysis) || {compares_nothing('self.rollout.analysis')}",
                "a check of answersDiffer needs the backend Envoy: a gateway does not mark requests and their copies",
            ),
            (
                f"{_ENVOY} || !has(self.rollout.match) || self.rollout.match.all(m, !has(m.cookie) || "
                "!has(m.header) || m.header.name.lowerAscii() != 'cookie')",
                "Gateway API matches a header once: write the header Cookie and the cookie as one",
            ),
        )
    )

    model: Model = Field(
        description="Which model package to serve. Changing it makes a new revision, which then takes over as "
        "`rollout` says. It is the only field that must be set."
    )
    runtime: Runtime = Field(
        default=Runtime(),
        description="How model pods run. Changing anything here makes a new revision, too: pods are never changed in "
        "place.",
    )
    scaling: Scaling = Field(
        default=Scaling(),
        description="How many model pods there are: `replicas` for a fixed number, or minReplicas and maxReplicas for "
        "autoscaling. Stable and canary are scaled each by its own load. Changing it restarts nothing.",
    )
    rollout: Rollout = Field(
        default=Rollout(),
        description="How a new version takes over. Its pods start beside those of the stable version and get no "
        "traffic before the model is loaded. Then the new version walks through `steps`; while it has traffic "
        "`analysis` judges it; where it fails, all traffic returns to the stable version and the spec is reported as "
        "Stalled until it changes. After the last step it becomes stable without a restart. Changing this field "
        "restarts nothing.",
    )
    router: Router = Field(
        default=Router(),
        description="What stands in front of the model pods and splits requests between the versions: an Envoy of the "
        "model's own, which does so exactly, or a gateway of the cluster.",
    )
    endpoint: Endpoint = Field(
        default=Endpoint(),
        description="How applications reach the model: the Service of the resource's name, with or without TLS. "
        "Setting or taking away `tls` replaces the router's pods one by one; model pods stay as they are.",
    )
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="How many former revisions are remembered for rollback."
    )
