"""From the operator's settings to what every pass is made with: the one place where a setting becomes an argument."""

from collections.abc import Callable
from datetime import datetime

from sluice_operator.planning.planner import Images
from sluice_operator.planning.policy import Policy
from sluice_operator.reconcile import Cluster, Reconciler
from sluice_operator.routing.base import Authorizer, Tracing
from sluice_operator.settings import Settings


def reconciler(cluster: Cluster, chosen: Settings, clock: Callable[[], datetime]) -> Reconciler:
    """What reconciles with these settings, for one term of leadership."""
    return Reconciler(
        cluster,
        _images(chosen),
        clock,
        tracing=_tracing(chosen),
        authorizer=_authorizer(chosen),
        demands=_demands(chosen),
    )


def _images(chosen: Settings) -> Images:
    return Images(
        chosen.runtime_image,
        chosen.router_image,
        runtime_gpu=chosen.runtime_gpu_image,
        tools=chosen.tools_image,
        pull_secrets=chosen.pull_secrets,
    )


def _tracing(chosen: Settings) -> Tracing | None:
    collector = chosen.tracing_endpoint
    return Tracing(*collector, chosen.tracing_sampling_percent) if collector else None


def _demands(chosen: Settings) -> Policy:
    return Policy(chosen.require_digest, chosen.require_signature, chosen.public_key, chosen.allowed_stores)


def _authorizer(chosen: Settings) -> Authorizer | None:
    return Authorizer(*chosen.authorizer) if chosen.authorizer else None
