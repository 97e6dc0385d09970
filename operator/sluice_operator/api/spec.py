"""What a user may ask for: `spec` of a ModelDeployment. The descriptions are what `kubectl explain` teaches."""

from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.access import Access
from sluice_operator.api.base import ApiModel, rules
from sluice_operator.api.endpoint import Endpoint
from sluice_operator.api.features import Features
from sluice_operator.api.model import Model
from sluice_operator.api.rollout import Rollout, compares_nothing
from sluice_operator.api.router import Router
from sluice_operator.api.runtime import Runtime
from sluice_operator.api.scaling import Scaling

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
                f"{_ENVOY} || !has(self.access.mode) || self.access.mode == 'None'",
                "access needs the backend Envoy: a gateway has authentication of its own",
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
    access: Access = Field(
        default=Access(),
        description="Who may ask: everybody who reaches the endpoint, or callers that show a token, checked in the "
        "router. Changing it restarts nothing.",
    )
    features: Features | None = Field(
        default=None,
        description="The feature store that model pods ask for what a request leaves out, and the job that fills it. "
        "Changing how it is asked makes a new revision, as with `runtime`; changing `materialization` restarts "
        "nothing. none: requests carry every input themselves.",
    )
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="How many former revisions are remembered for rollback."
    )
