"""What the routers should do, from status and spec alone: so a decision that is written down is carried out."""

from sluice_operator.api import names
from sluice_operator.api.endpoint import PlainHTTP
from sluice_operator.api.gateway import Gateway
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import ModelDeploymentStatus, Phase
from sluice_operator.planning.access import guard
from sluice_operator.routing.base import (
    Attached,
    Authorizer,
    Copied,
    Doors,
    Matched,
    Parent,
    Previewed,
    Tracing,
    Traffic,
)


def wanted_traffic(
    resource: ModelDeployment, tracing: Tracing | None = None, authorizer: Authorizer | None = None
) -> Traffic:
    """The traffic that status asks for, traced where the operator's own settings say so."""
    weights, endpoint, router = _weights(resource.status), resource.spec.endpoint, resource.spec.router
    return Traffic(
        namespace=resource.namespace,
        name=resource.name,
        weights=weights,
        revisions=tuple(live_revisions(resource.status)),
        testers=_testers(resource),
        mirror=_mirror(resource),
        preview=_preview(resource),
        # Where there is no choice nobody needs to be known.
        sticky=router.sticky if len(weights) > 1 else None,
        doors=Doors(http=endpoint.http is PlainHTTP.enabled, https=endpoint.tls is not None),
        # A gateway's traces are its own.
        tracing=None if router.gateway else tracing,
        guard=guard(resource, authorizer),
        gateway=_attached(router.gateway) if router.gateway else None,
    )


def _attached(gateway: Gateway) -> Attached:
    return Attached(
        parents=tuple(Parent(ref.name, ref.namespace, ref.section_name) for ref in gateway.parent_refs),
        hostnames=tuple(gateway.hostnames),
        grpc_hostnames=tuple(gateway.grpc_hostnames),
        named=gateway.revision_header,
    )


def live_revisions(status: ModelDeploymentStatus) -> list[str]:
    """Revisions with pods: stable, canary and those that drain."""
    named = [live.revision for live in (status.stable, status.canary) if live]
    return [*named, *(entry.revision for entry in status.draining if entry.revision not in named)]


def _weights(status: ModelDeploymentStatus) -> dict[str, int]:
    weight = status.rollout.weight if status.rollout else 0
    shares = {status.stable.revision: 100 - weight} if status.stable else {}
    if status.canary and weight:
        # Without a stable version the first one carries everything from its first moment.
        shares[status.canary.revision] = weight if status.stable else 100
    return {revision: share for revision, share in shares.items() if share}


def preview_url(resource: ModelDeployment) -> str:
    """Where the new version is previewed; empty where it is not."""
    preview = _preview(resource)
    return names.url(resource, names.preview(resource.name)) if preview and preview.revision else ""


def _routable(status: ModelDeploymentStatus) -> str | None:
    """The canary whose pods every router has seen, while there is a choice."""
    if not (status.stable and status.canary and status.rollout):
        return None
    ready = status.rollout.phase in (Phase.mirroring, Phase.stepping, Phase.promoting)
    return status.canary.revision if ready else None


def _testers(resource: ModelDeployment) -> Matched | None:
    canary, matches = _routable(resource.status), resource.spec.rollout.match
    return Matched(canary, tuple(matches)) if canary and matches else None


def _preview(resource: ModelDeployment) -> Previewed | None:
    preview = resource.spec.rollout.preview
    return Previewed(_routable(resource.status)) if preview and preview.service else None


def _mirror(resource: ModelDeployment) -> Copied | None:
    status, mirror = resource.status, resource.spec.rollout.mirror
    if not (mirror and status.canary and status.rollout and status.rollout.phase is Phase.mirroring):
        return None
    return Copied(status.canary.revision, mirror.percent)
