"""What the page is told, as JSON: plain pictures of resources and samples, and never a word of a Secret."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluice_operator.api.resource import ModelDeployment, Reported
from sluice_operator.dashboard.series import Sample
from sluice_operator.planning.comparing import sentence
from sluice_operator.planning.headline import headline

Json = Mapping[str, Any]

PLOTTED = ("weight", "rate", "error_rate", "p50", "p99")


def summary(resource: Reported) -> Json:
    """A model's row in the list."""
    status = resource.status
    return {
        "namespace": resource.namespace,
        "name": resource.name,
        **headline(status, resource.generation)._asdict(),
        "stable": status.stable.revision if status.stable else None,
        "canary": status.canary.revision if status.canary else None,
        "weight": status.rollout.verified_weight if status.rollout else None,
        "step": status.step,
        "replicas": status.replicas,
        "readyReplicas": status.ready_replicas,
    }


def detail(resource: Reported, samples: Sequence[Sample]) -> Json:
    """Everything about one model: its row, status as it is written, the spec's steps, the plots."""
    spec = resource.spec.rollout.to_json() if isinstance(resource, ModelDeployment) else {}
    told = resource.status.rollout.comparison if resource.status.rollout else None
    return {
        **summary(resource),
        "comparison": sentence(told) if told else None,
        "status": resource.status.to_json(),
        "rollout": spec,
        "series": plots(samples),
    }


def plots(samples: Sequence[Sample]) -> Json:
    """Columns over a common time: each plot has a list by revision, None where nothing was measured."""
    revisions = list(dict.fromkeys(revision for sample in samples for revision in sample.points))
    return {
        "time": [round(sample.time, 3) for sample in samples],
        **{name: {rev: [_value(sample, rev, name) for sample in samples] for rev in revisions} for name in PLOTTED},
    }


def _value(sample: Sample, revision: str, name: str) -> float | None:
    found = sample.points.get(revision)
    return getattr(found, name) if found else None
