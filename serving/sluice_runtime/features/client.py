"""The only way to the feature store: one question over kept connections, bounded in time and size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from enum import StrEnum

import orjson

from sluice.contract import FeatureReferences
from sluice.failures import PackageError, Reason
from sluice_runtime.features.credentials import Credentials
from sluice_runtime.features.http import Address, Answer, BrokenError, Connection, TooLargeError, connect
from sluice_runtime.features.rows import Key

_QUIET_SECONDS = 15.0
"""How long a connection is kept without use; Feast closes it after 30 s."""

_TOLD = 200
_AWAY = frozenset({408, 425, 429, 502, 503, 504})
"""What a gateway says, or a server that is overloaded: nothing about the question."""

_OF_A_KEY = frozenset({400, 422, 500})
"""What Feast answers to all keys of a call where one of them is none that its entity can have."""


class Trouble(StrEnum):
    """How a call failed, as metrics tell it."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BROKEN = "broken"
    STATUS = "status"
    INVALID = "invalid"
    # Of keys for which there was no call.
    PAUSED = "paused"
    CROWDED = "crowded"


class StoreError(Exception):
    """A call that brought no features. `message` is for callers; `detail`, which is not, says more.

    `away`: the store is not there, and others need not ask it now. `divides`: it may have been one of the keys alone.
    """

    def __init__(
        self, trouble: Trouble, message: str, detail: object = "", *, away: bool = False, divides: bool = False
    ) -> None:
        super().__init__(f"{message}: {detail}" if detail else message)
        self.trouble = trouble
        self.message = message
        self.away = away
        self.divides = divides


class Client:
    """Asks `POST {url}/get-online-features`. To be used within one event loop.

    Raises:
        PackageError: InvalidConfig, for a URL that is none.
    """

    def __init__(self, url: str, references: FeatureReferences, credentials: Credentials, seconds: float) -> None:
        try:
            self._address = Address.of(url, "/get-online-features")
        except ValueError as error:
            raise PackageError(Reason.INVALID_CONFIG, f"the feature store's URL {url!r}: {error}") from error
        self._service = references.service
        self._names = tuple(entity.name for entity in references.entities)
        self._credentials = credentials
        self._seconds = seconds
        self._kept: list[Connection] = []
        self._trusted: ssl.SSLContext | None = None

    async def ask(self, keys: Sequence[Key]) -> bytes:
        """The body of the store's answer about these entities.

        Raises:
            StoreError: there is none.
        """
        columns = dict(zip(self._names, zip(*keys, strict=True), strict=True))
        body = orjson.dumps({"feature_service": self._service, "entities": columns})
        try:
            async with asyncio.timeout(self._seconds):
                return _body(await self._asked(body))
        except TimeoutError as error:
            message = f"the feature store did not answer within {self._seconds:g} s"
            raise StoreError(Trouble.TIMEOUT, message, away=True) from error
        except BrokenError as error:
            raise StoreError(Trouble.BROKEN, "the feature store broke its answer off", error, away=True) from error
        except TooLargeError as error:
            raise StoreError(Trouble.INVALID, "the feature store's answer is too large") from error
        except (OSError, UnicodeError) as error:
            # UnicodeError: a name that no resolver takes.
            raise StoreError(Trouble.UNREACHABLE, "the feature store cannot be reached", error, away=True) from error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._kept:
            self._kept.pop().close()

    async def _asked(self, body: bytes) -> Answer:
        trusts = self._trusts()
        request = self._address.request(self._headers(), body)
        kept = self._kept_one()
        if kept is not None:
            try:
                return await self._sent(kept, request)
            except BrokenError as error:
                if error.begun:
                    raise
        # Or a kept one that the other side has just closed. Asking changes nothing there, so it is safe to ask again.
        return await self._sent(await connect(self._address, trusts), request)

    async def _sent(self, connection: Connection, request: bytes) -> Answer:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.free:
            connection.used_at = asyncio.get_running_loop().time()
            self._kept.append(connection)
        return answer

    def _kept_one(self) -> Connection | None:
        while self._kept:
            connection = self._kept.pop()
            if connection.free and asyncio.get_running_loop().time() - connection.used_at < _QUIET_SECONDS:
                return connection
            connection.close()
        return None

    def _headers(self) -> dict[str, str]:
        try:
            return self._credentials.headers()
        except (OSError, ValueError) as error:
            message = "the feature store cannot be asked"
            raise StoreError(Trouble.UNREACHABLE, message, f"token: {type(error).__name__}", away=True) from error

    def _trusts(self) -> ssl.SSLContext | None:
        """Whom to trust; connections that were made when it was somebody else are closed."""
        if not self._address.tls:
            return None
        trusts = self._credentials.trusts()
        if trusts is not self._trusted:
            self.close()
            self._trusted = trusts
        return trusts


def _body(answer: Answer) -> bytes:
    if answer.status == 200:
        return answer.body
    message = f"the feature store answers with status {answer.status}"
    away, divides = answer.status in _AWAY, answer.status in _OF_A_KEY
    raise StoreError(Trouble.STATUS, message, _excerpt(answer.body), away=away, divides=divides)


def _excerpt(body: bytes) -> str:
    return body[:_TOLD].decode("utf-8", "replace").encode("unicode_escape").decode("ascii")
