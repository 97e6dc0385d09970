"""The only way to the API server: bounded in time and number, and quiet for a while when it does not answer."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx
import orjson

from sluice_authorizer.credentials import Credentials

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

ANSWER_SECONDS = 3.0
PLACE_SECONDS = 1.0
MOST_AT_ONCE = 32
_KEPT = httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=8, keepalive_expiry=20.0)

_HEADERS = {
    # The second is what keys come as.
    "accept": "application/json, application/jwk-set+json",
    "content-type": "application/json",
    "user-agent": "sluice-authorizer",
}

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_FAILURES_BEFORE_PAUSE = 3


class Unavailable(Exception):  # noqa: N818 - a state, as the callers see it
    """The API server gave no answer that could be used: not now, or not to this process."""


class Crowded(Unavailable):
    """It was not asked: too many questions wait for their place. Callers can bring that about."""


class Asks(Protocol):
    """What is needed of the API server."""

    async def ask(self, method: str, path: str, body: Json | None) -> Json:
        """The JSON object that it answers.

        Raises:
            Unavailable: there is none.
        """
        ...


class Pause:
    """No storm of questions on one that struggles: after some failures it is left alone, longer with each more.

    Pure: `now` is monotonic time in seconds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until = float("-inf")

    def over(self, now: float) -> bool:
        """Whether it may be asked."""
        return now >= self._until

    def failed(self, now: float, wanted: float = 0.0) -> None:
        """It did not answer, or asked for `wanted` seconds of peace."""
        self._failures += 1
        excess = self._failures - _FAILURES_BEFORE_PAUSE
        grown = _FIRST_PAUSE_SECONDS * 2 ** min(excess, 8) if excess >= 0 else 0.0
        self._until = max(self._until, now + min(max(grown, wanted), _LONGEST_PAUSE_SECONDS))

    def answered(self) -> None:
        """It is well."""
        self._failures = 0


class ApiServer:
    """Asks over kept connections with this process' own credentials, which are read anew as they change."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Callable[[], float],
        answer_seconds: float = ANSWER_SECONDS,
        place_seconds: float = PLACE_SECONDS,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._place_seconds = place_seconds
        self._pause = Pause()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._client: httpx.AsyncClient | None = None
        self._trusts: ssl.SSLContext | None = None

    async def ask(self, method: str, path: str, body: Json | None) -> Json:
        """The JSON object that the API server answers.

        Raises:
            Unavailable: with why, which names no token.
        """
        self._leave_alone()
        try:
            async with asyncio.timeout(self._place_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise Crowded("too many questions wait for the API server") from error
        try:
            return await self._asked(method, path, body)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _asked(self, method: str, path: str, body: Json | None) -> Json:
        # It may have failed others in the meantime.
        self._leave_alone()
        # Keys are read at their own pace, and a cluster may keep them from us: that says nothing about reviews.
        pause = self._pause if method != "GET" else Pause()
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._sent(method, path, None if body is None else orjson.dumps(body))
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            pause.failed(self._clock())
            raise Unavailable(f"the API server cannot be reached ({type(error).__name__})") from error
        return self._read(answer, pause)

    def _leave_alone(self) -> None:
        if not self._pause.over(self._clock()):
            raise Unavailable("the API server did not answer a moment ago")

    async def _sent(self, method: str, path: str, content: bytes | None) -> httpx.Response:
        client = await self._connected()
        headers = {**_HEADERS, **self._credentials.headers()}
        try:
            return await client.request(method, path, content=content, headers=headers)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection that the other side has just closed. Asking changes nothing there, so it is safe.
            return await client.request(method, path, content=content, headers=headers)

    async def _connected(self) -> httpx.AsyncClient:
        trusts = self._credentials.trusts()
        if self._client is None or trusts is not self._trusts:
            await self.close()
            self._trusts = trusts
            # No proxy and no certificate from the environment: they would see the tokens.
            self._client = httpx.AsyncClient(
                base_url=self._credentials.server,
                verify=trusts,
                limits=_KEPT,
                timeout=self._answer_seconds,
                trust_env=False,
            )
        return self._client

    def _read(self, answer: httpx.Response, pause: Pause) -> Json:
        if answer.status_code == 429 or answer.status_code >= 500:
            pause.failed(self._clock(), _seconds(answer.headers.get("retry-after", "")))
            raise Unavailable(f"the API server answers {answer.status_code}")
        if answer.status_code not in (200, 201):
            pause.failed(self._clock())
            log.error("the API server refuses the authorizer itself: %s %s", answer.status_code, answer.url.path)
            raise Unavailable(f"the API server refuses the authorizer's own request ({answer.status_code})")
        pause.answered()
        try:
            found = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise Unavailable("the API server's answer is no JSON") from error
        if not isinstance(found, dict):
            raise Unavailable("the API server's answer is no object")
        return found


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0
