"""Parts of specs with which many pods fit on a machine with two cores, and steps are short."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
RUNTIME: dict[str, Any] = {"resources": SMALL}
ROUTER: dict[str, Any] = {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}}
QUICK: dict[str, Any] = {"readyDeadline": "60s", "drainDelay": "1s"}
ERRORS: dict[str, Any] = {
    "interval": "1s",
    "minRequests": 30,
    "failureLimit": 0,
    "checks": [{"metric": "errorRate", "max": 0.01}],
}


def steps(*weights: int, hold: str = "2s") -> list[dict[str, Any]]:
    """Steps that are all held equally long."""
    return [{"weight": weight, "hold": hold} for weight in weights]
