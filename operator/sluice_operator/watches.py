"""How the framework (kopf) is used: for its watches alone. Nothing it could write to an object is left switched on.

Its handlers of raw events pass on what they see and can neither fail nor be retried; its bookkeeping of changes, which
copies every object several times for features that are not used here, is replaced by nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from sluice_operator.cluster.audit import selector
from sluice_operator.cluster.client import Json
from sluice_operator.cluster.kinds import Kind

TakeIn = Callable[[Kind, str | None, Json], None]


def registry(configuration: Configuration, kinds: Iterable[Kind], take_in: TakeIn) -> kopf.OperatorRegistry:
    """Handlers that give every raw event of these kinds to `take_in`; events of a listing have no type."""
    built = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(configuration)

    kopf.on.login(registry=built)(login)
    for kind in kinds:
        _on_event(built, kind, take_in)
    return built


def _on_event(built: kopf.OperatorRegistry, kind: Kind, take_in: TakeIn) -> None:
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        take_in(kind, event["type"], dict(event["object"]))

    kopf.on.event(kind.group, kind.version, kind.plural, registry=built, id=kind.plural)(seen)


def settings(kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    """Server-side selectors, watches that notice silence, attempts without an end, and no writes."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.persistence.diffbase_storage = _NoDifferences()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.networking.error_backoffs = _Backoffs()
    chosen.networking.request_timeout = 60.0
    chosen.networking.connect_timeout = 5.0
    chosen.watching.connect_timeout = 5.0
    # Whole objects with all their managed fields: small pages keep the start from being the peak of memory.
    chosen.watching.chunk_size = 50
    chosen.watching.inactivity_timeout = 70.0
    chosen.queueing.idle_timeout = 0.2
    chosen.queueing.exit_timeout = 0.5
    for kind in kinds:
        if text := selector(kind):
            chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = text
    return chosen


class _Backoffs:
    """Delays between a watch's attempts, without an end: an absent API server must not end the process."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.1, 0.2, 0.5, 1.0)
        while True:
            yield 2.0


class NotItsOwn(Collection["asyncio.Task[Any]"]):
    """All tasks of the process. The framework would end whatever was started since itself, reconciles included."""

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator["asyncio.Task[Any]"]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _NoDifferences(kopf.DiffBaseStorage):
    """The framework need not know what changed."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


class _NoProgress(kopf.ProgressStorage):
    """The framework has no handlers whose progress would have to survive."""

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Nothing is stored."""

    def purge(self, **_: Any) -> None:
        """Nothing is stored."""

    def touch(self, **_: Any) -> None:
        """Nothing is stored."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


async def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The client's credentials in the framework's terms; asked again when a token has expired."""
    header = await configuration.get_api_key_with_prefix("BearerToken")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=header.split(" ", 1)[-1] if header else None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
