"""`spec.runtime`: how model pods run. What stands here shapes pods, so a change makes a new revision."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from sluice.config import PROVIDER_PATTERN
from sluice_operator.api.base import ApiModel
from sluice_operator.api.scalars import Duration, Quantity


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
def pod_template_schema(pods: str) -> dict[str, Any]:
    """Of a partial pod template; `pods`: which ones it is merged into."""
    return {
        "properties": {
            "metadata": {
                "type": "object",
                "description": f"Metadata added to the {pods}.",
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
        json_schema_extra=pod_template_schema("model pods"),
    )
