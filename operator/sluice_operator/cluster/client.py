"""The only door to the API server: typed verbs over plain JSON objects, with errors in the operator's own terms.

It uses the transport and the credentials of `kubernetes.aio`, not its generated models: those cost memory and would
rename every field of the manifests that planning writes.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sluice_operator import metrics
from sluice_operator.api.names import FIELD_MANAGER
from sluice_operator.cluster.circuit import Circuit
from sluice_operator.cluster.errors import Conflict, Gone, NotLeading, Refused, Unavailable, Unreachable
from sluice_operator.cluster.kinds import Kind

log = logging.getLogger(__name__)

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 100
"""Objects a listing asks for at once: bounds the memory of one answer."""

REQUEST_SECONDS = 30.0
PROBE_SECONDS = 1.0
_OVERLOADED = {408, 429, 500, 502, 503, 504}
_MALFORMED = ("failed to create typed patch object", "failed to convert new object")
"""Server-side apply answers 500 to fields it does not know and values it cannot read; trying again cannot help."""

USER_AGENT = "sluice-operator"


async def load_configuration(kubeconfig: str | None) -> Configuration:
    """Credentials from a kubeconfig file, or of the pod's service account where there is none."""
    configuration = Configuration()
    if kubeconfig is None:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
    return configuration


@dataclass(frozen=True)
class Listing:
    """Resource versions by namespace and name, and the version `at` which the listing is true."""

    versions: Mapping[tuple[str, str], int]
    at: int


class Client:
    """Requests to the API server. Every failure is one of the errors in `cluster.errors`.

    `may_write` is asked at the last moment before each writing request, so that an operator that has lost its lease
    writes nothing, wherever in a pass it was.
    """

    def __init__(self, configuration: Configuration, may_write: Callable[[], bool] = lambda: True) -> None:
        self.configuration = configuration
        self._may_write = may_write
        self.circuit = Circuit()
        self._api = ApiClient(configuration)
        self._api.user_agent = USER_AGENT

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Read one object; raises Gone."""
        return await self._request("GET", kind, namespace, name)

    async def list_all(self, kind: Kind, namespace: str | None, params: Mapping[str, str]) -> list[Json]:
        """All objects that match the selectors in `params`."""
        return [obj async for page, _ in self._pages(kind, namespace, params, "application/json") for obj in page]

    async def list_versions(self, kind: Kind, namespace: str | None, params: Mapping[str, str]) -> Listing:
        """Which objects there are at which version, page by page, so that a large cluster is never held at once."""
        versions: dict[tuple[str, str], int] = {}
        at = 0
        async for page, at in self._pages(kind, namespace, params, METADATA_ONLY):  # noqa: B007 - read below
            for metadata in (obj["metadata"] for obj in page):
                versions[metadata["namespace"], metadata["name"]] = int(metadata["resourceVersion"])
        return Listing(versions, at)

    async def _pages(
        self, kind: Kind, namespace: str | None, params: Mapping[str, str], accept: str
    ) -> AsyncIterator[tuple[list[Json], int]]:
        query = {**params, "limit": str(PAGE)}
        while True:
            page = await self._request("GET", kind, namespace, params=query, accept=accept)
            yield page.get("items") or [], int(page["metadata"]["resourceVersion"])
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Create an object; its name may be generated."""
        name = body["metadata"].get("name") or body["metadata"].get("generateName")
        return await self._request("POST", kind, namespace, body=body, label=name)

    async def apply(
        self, kind: Kind, namespace: str, name: str, manifest: Mapping[str, Any], dry_run: bool = False
    ) -> Json:
        """Server-side apply as the field manager `sluice`, taking over fields that others set."""
        params = {"fieldManager": FIELD_MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        verb = "dry-run" if dry_run else "apply"
        return await self._request(
            "PATCH", kind, namespace, name, body=manifest, params=params, content_type=APPLY, verb=verb
        )

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str | None = None) -> Json:
        """JSON merge patch of an object or a subresource."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._request(
            "PATCH", kind, namespace, name, subresource, body=patch, params=params, content_type=MERGE
        )

    async def replace(self, kind: Kind, namespace: str, name: str, body: Json, subresource: str | None = None) -> Json:
        """PUT; raises Conflict where `metadata.resourceVersion` is not the current one."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._request("PUT", kind, namespace, name, subresource, body=body, params=params)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete exactly this object (by uid), its dependents in the background; raises Gone."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._request("DELETE", kind, namespace, name, body=body)

    async def served(self, kind: Kind) -> bool:
        """Whether the API server knows the kind (its CRD is installed)."""
        root = "/apis" if kind.group else "/api"
        try:
            found = await self._send("GET", f"{root}/{kind.api_version}", "discovery", kind.plural)
        except Gone:
            return False
        return any(resource["name"] == kind.plural for resource in found["resources"])

    async def probe_forever(self, on_back: Callable[[], None]) -> None:
        """While the API server is away, ask every second whether it is back; then call `on_back`."""
        while True:
            await self.circuit.wait_open()
            await asyncio.sleep(PROBE_SECONDS)
            try:
                await self._send("GET", "/version", "discovery", "version")
            except Unavailable:
                continue
            except Refused as error:
                log.debug("the API server is back but refuses: %s", error)
            on_back()

    async def _request(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        verb: str | None = None,
        label: str | None = None,
    ) -> Json:
        path = kind.path(namespace, name, subresource)
        if params:
            path += "?" + urlencode(params)
        if method != "GET":
            if not self._may_write():
                raise NotLeading(f"{method} {path}: this operator does not lead")
            shown = kind.kind if subresource is None else f"{kind.kind}/{subresource}"
            metrics.API_WRITES.labels(verb or _VERBS[method], shown).inc()
        headers = {"Accept": accept, "Content-Type": content_type}
        return await self._send(method, path, kind.kind, name or label or "", headers=headers, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        kind: str,
        name: str,
        *,
        headers: dict[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Json:
        try:
            status, answer = await self._exchange(method, path, headers or {}, body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            metrics.API_ERRORS.labels("unavailable").inc()
            self.circuit.failed(error)
            raise Unreachable(f"{method} {path}: {error!r}") from error
        if status < 400:
            self.circuit.succeeded()
            return answer
        raise self._error(status, answer, kind, name)

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int, Json]:
        auth = {"auth_settings": ["BearerToken"]}
        serialize = cast("Callable[..., Awaitable[tuple[Any, ...]]]", self._api.param_serialize)
        method, url, sent, _, _ = await serialize(method=method, resource_path=path, header_params=headers, **auth)
        response = await self._api.call_api(method, url, sent, body, _request_timeout=REQUEST_SECONDS)
        text: bytes = await response.read()  # type: ignore[no-untyped-call]
        return response.status, _parsed(text)

    def _error(self, status: int, answer: Json, kind: str, name: str) -> Exception:
        if status != 404:
            # Asking whether something exists is no error.
            metrics.API_ERRORS.labels(str(status)).inc()
        message = str(answer.get("message", "")) or f"HTTP {status}"
        malformed = status == 500 and message.startswith(_MALFORMED)
        if status in _OVERLOADED and not malformed:
            # No word on the server as a whole: one failing webhook answers 500 for one kind of object.
            return Unavailable(f"{kind} {name}: {message}", internal=answer.get("reason") == "InternalError")
        self.circuit.succeeded()
        if status == 409:
            return Conflict(f"{kind} {name}: {message}")
        if status == 404 or _namespace_ends(answer):
            return Gone(f"{kind} {name}: {message}")
        return Refused(kind, name, message)


_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


def _parsed(text: bytes) -> Json:
    """The JSON object in an answer; a proxy's HTML becomes a message."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {"message": text[:512].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)[:512]}


def _namespace_ends(answer: Json) -> bool:
    """Creating in a namespace under deletion is refused with 403 and this cause."""
    causes = (answer.get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
