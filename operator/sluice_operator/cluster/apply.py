"""Makes the cluster what a plan says: compares first, writes only what differs, prunes what is no longer wanted."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import KIND, ModelDeployment
from sluice_operator.cluster import compare, observe
from sluice_operator.cluster.cache import Cache, Key, version
from sluice_operator.cluster.client import Client, Json
from sluice_operator.cluster.errors import Conflict, Gone, Refused, Unavailable
from sluice_operator.cluster.kinds import APPLIED, CRON_JOB, DEPLOYMENT, JOB, POD, Kind, kind_of
from sluice_operator.planning.plan import Plan

log = logging.getLogger(__name__)

_Place = tuple[Kind, str]


class Applier:
    """Writes children. Every answer goes into the cache at once, so that the next pass does not write it again."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def apply(self, resource: ModelDeployment, plan: Plan) -> None:
        """Apply objects in the order of kinds, set replicas, hint router pods, prune; raises Refused, Unavailable."""
        wanted = _by_place(plan.objects)
        for kind in APPLIED:
            if kind is not CRON_JOB:
                await self._apply_kind(resource, kind, wanted)
            if kind is DEPLOYMENT:
                await self._scale(resource, plan.scales)
        await self._hint_routers(resource, plan.router_version)
        if plan.prune:
            await self._prune(resource, set(wanted))
        # It serves nobody: where the API server says no to it, all else has been done.
        await self._apply_kind(resource, CRON_JOB, wanted)

    async def _apply_kind(self, resource: ModelDeployment, kind: Kind, wanted: Mapping[_Place, Manifest]) -> None:
        for (of, name), manifest in wanted.items():
            if of is kind:
                await self._apply_one(resource, kind, name, manifest)

    async def dry_run(self, manifests: Iterable[Manifest]) -> None:
        """Have the API server judge manifests without keeping them; raises Refused with what it says."""
        for manifest in manifests:
            metadata = manifest["metadata"]
            await self._client.apply(kind_of(manifest), metadata["namespace"], metadata["name"], manifest, dry_run=True)

    async def _apply_one(self, resource: ModelDeployment, kind: Kind, name: str, manifest: Manifest) -> None:
        hashed = compare.with_hash(manifest)
        if self._is_applied(kind, resource.namespace, name, hashed):
            return
        await self._refuse_foreign(resource, kind, name)
        log.info("applying %s %s", kind.kind, name)
        try:
            answer = await self._write(kind, resource.namespace, name, hashed)
        except Refused:
            live = self._cache.get(kind, resource.namespace, name)
            if kind is not JOB or live is None:
                raise
            # A Job's pods cannot be changed: it is made anew by the pass that sees it gone.
            await self._delete(kind, live)
            return
        self._cache.put(kind, answer)
        # Even where the server keeps it in another form: asking again would ask for ever.
        if self._holds(kind, answer):
            self._cache.note(kind, resource.namespace, name, _hash(hashed))

    async def _write(self, kind: Kind, namespace: str, name: str, hashed: Json) -> Json:
        """Apply. What fails inside the server for this object (a webhook, no address left) is told like a refusal."""
        try:
            return await self._client.apply(kind, namespace, name, hashed)
        except Unavailable as error:
            if not error.internal:
                raise
            raise Refused(kind.kind, name, str(error)) from error

    def _is_applied(self, kind: Kind, namespace: str, name: str, hashed: Json) -> bool:
        """Whether the live object is as wanted; compared once for each of its versions."""
        if self._cache.noted(kind, namespace, name) == _hash(hashed):
            return True
        if not compare.up_to_date(hashed, self._cache.get(kind, namespace, name)):
            return False
        self._cache.note(kind, namespace, name, _hash(hashed))
        return True

    def _holds(self, kind: Kind, answer: Json) -> bool:
        held = self._cache.get(kind, answer["metadata"]["namespace"], answer["metadata"]["name"])
        return held is not None and version(held) == version(answer)

    async def _refuse_foreign(self, resource: ModelDeployment, kind: Kind, name: str) -> None:
        """An object of that name that belongs to somebody else is never taken over; the cache shows only our own."""
        live = self._cache.get(kind, resource.namespace, name)
        if live is None:
            try:
                live = await self._client.get(kind, resource.namespace, name)
            except Gone:
                return
        owner = _controller(live)
        if owner is None and observe.label(live, names.MANAGED_BY) == "sluice":
            return
        if owner is None or owner["kind"] != KIND or owner["name"] != resource.name:
            raise Refused(kind.kind, name, "an object of this name exists and belongs to somebody else")
        if owner["uid"] != resource.uid:
            raise Conflict(f"{kind.kind} {name} of a former {KIND} is still being deleted")

    async def _scale(self, resource: ModelDeployment, scales: Mapping[str, int]) -> None:
        for name, replicas in scales.items():
            live = self._cache.get(DEPLOYMENT, resource.namespace, name)
            if live is None or live["spec"].get("replicas", 1) == replicas:
                continue
            log.info("scaling %s to %d", name, replicas)
            patch = {"spec": {"replicas": replicas}}
            answer = await self._client.merge(DEPLOYMENT, resource.namespace, name, patch, "scale")
            self._cache.put(DEPLOYMENT, _scaled(live, answer))

    async def _hint_routers(self, resource: ModelDeployment, wanted: str) -> None:
        """A changed annotation makes the kubelet sync the pod's ConfigMap at once instead of within a minute."""
        seen = observe.gather(self._cache, Key(resource.namespace, resource.name), {})
        for pod in observe.router_pods(seen) if wanted else []:
            if observe.config_version(pod) == wanted:
                continue
            patch = {"metadata": {"annotations": {names.CONFIG_VERSION: wanted}}}
            try:
                answer = await self._client.merge(POD, resource.namespace, pod["metadata"]["name"], patch)
            except Gone:
                continue
            self._cache.put(POD, answer)

    async def _prune(self, resource: ModelDeployment, wanted: set[_Place]) -> None:
        """Delete owned children that the plan does not name, dependents (autoscalers, deployments) first."""
        key = Key(resource.namespace, resource.name)
        for kind in reversed(APPLIED):
            for obj in self._cache.owned(kind, key):
                if (kind, obj["metadata"]["name"]) not in wanted and _is_ours(obj, resource):
                    await self._delete(kind, obj)

    async def _delete(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            return
        log.info("deleting %s %s", kind.kind, metadata["name"])
        try:
            await self._client.delete(kind, metadata["namespace"], metadata["name"], metadata["uid"])
        except Gone:
            log.debug("%s %s is gone already", kind.kind, metadata["name"])
        self._cache.drop(kind, obj)


def _by_place(objects: Iterable[Manifest]) -> dict[_Place, Manifest]:
    return {(kind_of(manifest), manifest["metadata"]["name"]): manifest for manifest in objects}


def _hash(hashed: Json) -> str:
    return str(hashed["metadata"]["annotations"][names.APPLIED_HASH])


def _is_ours(obj: Mapping[str, Any], resource: ModelDeployment) -> bool:
    owner = _controller(obj)
    owned = owner is not None and owner["uid"] == resource.uid
    return owned and observe.label(obj, names.MANAGED_BY) == "sluice"


def _controller(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners = obj["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def _scaled(live: Mapping[str, Any], answer: Json) -> Json:
    """The cached Deployment with the replicas and the version that the scale subresource answered."""
    metadata = {**live["metadata"], "resourceVersion": answer["metadata"]["resourceVersion"]}
    spec = {**live["spec"], "replicas": answer["spec"].get("replicas", 0)}
    return {**live, "metadata": metadata, "spec": spec}
