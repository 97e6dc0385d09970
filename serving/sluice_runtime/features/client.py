"""The only way to the feature store: one question at a time and connection, bounded in time and size."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import orjson

from sluice.contract import FeatureReferences
from sluice.failures import PackageError, Reason
from sluice_runtime.features.credentials import Credentials
from sluice_runtime.features.http import Address, Answer, BrokenError, Connection, TooLargeError
from sluice_runtime.features.pool import Pool
from sluice_runtime.features.rows import Key
from sluice_runtime.running import Receiver

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
    AWAY = "away"
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
    """Asks `POST {url}/get-online-features`. To be made and used within one running event loop.

    Raises:
        PackageError: InvalidConfig, for a URL that is none.
    """

    def __init__(self, url: str, references: FeatureReferences, credentials: Credentials, seconds: float) -> None:
        try:
            address = Address.of(url, "/get-online-features")
        except ValueError as error:
            raise PackageError(Reason.INVALID_CONFIG, f"the feature store's URL {url!r}: {error}") from error
        self._pool = Pool(address, credentials)
        self._service = references.service
        self._names = tuple(entity.name for entity in references.entities)
        self._seconds = seconds

    def ask(self, keys: Sequence[Key], receiver: Receiver[bytes]) -> Question:
        """Ask about these entities. The receiver gets the body of the store's answer, or a StoreError; never before
        this returns.
        """
        columns = dict(zip(self._names, zip(*keys, strict=True), strict=True))
        body = orjson.dumps({"feature_service": self._service, "entities": columns})
        question = Question(self._pool, body, self._seconds, receiver)
        question.begin()
        return question

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.close()


class Question:
    """One question on its way, asked once more where a kept connection turns out to be closed.

    Its connection tells it what comes of it, and it tells the receiver at once: a task would be woken for each a turn
    of the event loop later, which is a good part of what a lookup may add to a prediction.
    """

    __slots__ = ("_body", "_connecting", "_connection", "_loop", "_pool", "_receiver", "_request", "_seconds", "_timer")

    def __init__(self, pool: Pool, body: bytes, seconds: float, receiver: Receiver[bytes]) -> None:
        self._pool = pool
        self._body = body
        self._seconds = seconds
        self._receiver: Receiver[bytes] | None = receiver
        self._request = b""
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """Ask."""
        try:
            self._request = self._pool.request(self._body)
        except (OSError, ValueError) as error:
            self._timer = self._loop.call_soon(self._fail, _unreadable(error))
            return
        try:
            kept = self._pool.kept()
        except OSError as error:
            self._timer = self._loop.call_soon(self._fail, _failed(error))
            return
        if kept is not None:
            self._send(kept)
        else:
            self._connect()
        self._timer = self._loop.call_later(self._seconds, self._late)

    def done(self) -> bool:
        """True where nobody waits any longer."""
        return self._receiver is None

    def set_result(self, answer: Answer) -> None:
        """The store has answered; called by the connection."""
        if self._connection is not None:
            self._pool.keep(self._connection)
        receiver = self._end()
        if receiver is None:
            return
        if answer.status == 200:
            receiver.set_result(answer.body)
        else:
            receiver.set_exception(_refused(answer))

    def set_exception(self, error: Exception) -> None:
        """It has not; called by the connection."""
        if isinstance(error, BrokenError) and not error.begun and self._connecting is None:
            # A kept one that the other side has just closed. Asking changes nothing there, so it is safe to ask again.
            self._connection = None
            self._connect()
        else:
            self._fail(_failed(error))

    def cancel(self) -> None:
        """Nobody wants to know any more; the receiver is told nothing."""
        if self._connection is not None:
            self._connection.close()
        if self._connecting is not None:
            self._connecting.cancel()
        self._end()

    def _send(self, connection: Connection) -> None:
        self._connection = connection
        connection.ask(self._request, self)

    def _connect(self) -> None:
        self._connecting = self._loop.create_task(self._send_anew())

    async def _send_anew(self) -> None:
        try:
            connection = await self._pool.connected()
        except Exception as error:  # a resolver, a socket and TLS raise many, and somebody waits for a word
            self._fail(_failed(error))
            return
        if connection.free:
            self._send(connection)
        else:
            self._fail(_failed(BrokenError("the connection was closed at once", begun=False)))

    def _late(self) -> None:
        receiver = self._receiver
        self.cancel()
        if receiver is not None:
            message = f"the feature store did not answer within {self._seconds:g} s"
            receiver.set_exception(StoreError(Trouble.TIMEOUT, message, away=True))

    def _fail(self, error: StoreError) -> None:
        receiver = self._end()
        if receiver is not None:
            receiver.set_exception(error)

    def _end(self) -> Receiver[bytes] | None:
        """Nothing more will be told; to be called before the last word."""
        receiver, self._receiver = self._receiver, None
        if self._timer is not None:
            self._timer.cancel()
        # They refer to this question; without the circle it is gone when it is answered.
        self._timer = self._connection = self._connecting = None
        return receiver


def _failed(error: Exception) -> StoreError:
    if isinstance(error, BrokenError):
        return StoreError(Trouble.BROKEN, "the feature store broke its answer off", error, away=True)
    if isinstance(error, TooLargeError):
        return StoreError(Trouble.INVALID, "the feature store's answer is too large")
    return StoreError(Trouble.UNREACHABLE, "the feature store cannot be reached", error, away=True)


def _unreadable(error: Exception) -> StoreError:
    """Of a token, of which nothing must be told."""
    message = "the feature store cannot be asked"
    return StoreError(Trouble.UNREACHABLE, message, f"token: {type(error).__name__}", away=True)


def _refused(answer: Answer) -> StoreError:
    away, divides = answer.status in _AWAY, answer.status in _OF_A_KEY
    trouble = Trouble.AWAY if away else Trouble.STATUS
    message = f"the feature store answers with status {answer.status}"
    return StoreError(trouble, message, _excerpt(answer.body), away=away, divides=divides)


def _excerpt(body: bytes) -> str:
    return body[:_TOLD].decode("utf-8", "replace").encode("unicode_escape").decode("ascii")
