"""THE PATH: observe -> plan -> write down -> apply.

The decision is written to status before it is carried out, guarded by the resource version: what was decided on a stale
cache is never done, and an operator that dies in between finds its decision and carries it out.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment, Reported, SpecNotUnderstoodError
from sluice_operator.api.status import Failure, ModelDeploymentStatus
from sluice_operator.cluster.errors import Refused
from sluice_operator.cluster.kinds import CRON_JOB
from sluice_operator.planning import materialization
from sluice_operator.planning.conditions import not_understood
from sluice_operator.planning.events import notes
from sluice_operator.planning.observed import Observed, Problem
from sluice_operator.planning.plan import EventNote, Plan
from sluice_operator.planning.planner import Images, plan
from sluice_operator.planning.policy import NO_DEMANDS, Policy
from sluice_operator.routing.base import Authorizer, Tracing

RETRY_REFUSED = 15.0


class Cluster(Protocol):
    """The only I/O of a pass."""

    def get(self, namespace: str, name: str) -> ModelDeployment | None:
        """The resource as the watch last showed it; raises SpecNotUnderstoodError."""

    async def observe(self, resource: ModelDeployment) -> Observed:
        """Everything about it that the cluster shows."""

    async def dry_run(self, manifests: Sequence[Manifest]) -> None:
        """Raises Refused where the API server would not take them."""

    async def write_status(self, resource: Reported, status: ModelDeploymentStatus) -> None:
        """Raises Conflict where the resource has changed since it was read."""

    async def apply(self, resource: ModelDeployment, plan: Plan) -> None:
        """Make objects, scales and router versions true; raises Refused."""

    async def record(self, resource: Reported, events: Sequence[EventNote]) -> None:
        """Tell a person."""


class Reconciler:
    """Brings one ModelDeployment a step nearer to its spec each time it is called."""

    def __init__(
        self,
        cluster: Cluster,
        images: Images,
        clock: Callable[[], datetime],
        *,
        tracing: Tracing | None = None,
        authorizer: Authorizer | None = None,
        demands: Policy = NO_DEMANDS,
    ) -> None:
        self._cluster = cluster
        self._images = images
        self._clock = clock
        self._tracing = tracing
        self._authorizer = authorizer
        self._demands = demands
        self._refused: dict[tuple[str, str], Problem] = {}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """One pass. Returns the seconds until the next look, None for none."""
        try:
            resource = self._cluster.get(namespace, name)
        except SpecNotUnderstoodError as error:
            await self._report_not_understood(error)
            return None
        if resource is None:
            self._refused.pop((namespace, name), None)
            return None
        observed = await self._cluster.observe(resource)
        decided = await self._decide(resource, self._with_refusal(resource, observed))
        await self._cluster.write_status(resource, decided.status)
        await self._cluster.record(resource, decided.events)
        return await self._carry_out(resource, decided)

    async def _report_not_understood(self, error: SpecNotUnderstoodError) -> None:
        """Nothing is touched on a spec that cannot be read; a person is told why nothing happens."""
        resource = error.resource
        status = not_understood(resource, str(error), self._clock())
        await self._cluster.write_status(resource, status)
        await self._cluster.record(resource, notes(resource.status, status))

    def _with_refusal(self, resource: ModelDeployment, observed: Observed) -> Observed:
        return replace(observed, refused=self._refused.get((resource.namespace, resource.name)))

    async def _decide(self, resource: ModelDeployment, observed: Observed) -> Plan:
        decided = self._plan(resource, observed)
        try:
            await self._cluster.dry_run(decided.dry_run)
        except Refused as error:
            refusal = Failure(reason="PodTemplateRefused", message=str(error))
            return self._plan(resource, observed, refusal)
        return decided

    def _plan(self, resource: ModelDeployment, observed: Observed, refusal: Failure | None = None) -> Plan:
        return plan(
            resource,
            observed,
            self._clock(),
            self._images,
            refusal,
            tracing=self._tracing,
            authorizer=self._authorizer,
            demands=self._demands,
        )

    async def _carry_out(self, resource: ModelDeployment, decided: Plan) -> float | None:
        """Apply the plan. What the API server refuses becomes a condition in the next pass."""
        key = (resource.namespace, resource.name)
        try:
            await self._cluster.apply(resource, decided)
        except Refused as error:
            known = self._refused.get(key)
            reason = materialization.REFUSED if error.kind == CRON_JOB.kind else "ApplyRefused"
            self._refused[key] = Problem(reason, str(error))
            return RETRY_REFUSED if known == self._refused[key] else 0.0
        was_refused = self._refused.pop(key, None) is not None
        return 0.0 if was_refused else decided.requeue_after
