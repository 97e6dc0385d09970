"""`spec.scaling`: how many pods a revision has."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from sluice_operator.api.base import ApiModel, rules


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
