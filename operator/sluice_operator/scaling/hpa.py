"""The default autoscaler: a HorizontalPodAutoscaler v2 a revision, so that stable and canary scale on their own."""

from collections.abc import Mapping
from typing import Any

from sluice_operator.api.scaling import Scaling


def spec(scaling: Scaling, deployment: str, floor: int) -> Mapping[str, Any]:
    """`spec` of the HPA over a Deployment; `floor` is the fewest pods that its share of the traffic needs."""
    most = scaling.max_replicas or floor
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": min(floor, most),
        "maxReplicas": most,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": scaling.metric.value,
                    "container": "runtime",
                    "target": {"type": "Utilization", "averageUtilization": scaling.target},
                },
            }
        ],
    }
