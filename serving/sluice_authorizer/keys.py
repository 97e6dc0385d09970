"""The cluster's public keys, read from the API server's own discovery and kept up to date at its own pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sluice_authorizer.apiserver import Asks, Unavailable
from sluice_authorizer.flights import Flights
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.tokens import KeyRing, Looked, UnknownKey, look, read_keys

log = logging.getLogger(__name__)

CONFIGURATION = "/.well-known/openid-configuration"
KEY_SET = "/openid/v1/jwks"

OLD_SECONDS = 300.0
"""After so long they are read again: a key that was taken away must not be believed for ever."""

PAUSE_SECONDS = 5.0
"""Between two readings, however many tokens name a key that is not known."""

_UNKNOWN = Refusal(Why.WRONG_TOKEN, "the token is signed with a key that is not the cluster's", PAUSE_SECONDS)


class Keys:
    """Looks at tokens with the latest keys. Without keys no token can be told to be wrong by its signature."""

    def __init__(self, api: Asks, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._wall = wall
        self._ring = KeyRing()
        self._flights: Flights[None] = Flights()
        self._asked_at = float("-inf")

    async def look(self, token: bytes, audiences: tuple[str, ...]) -> Looked | Refusal:
        """What can be told of a token, after another look at the keys where that may help."""
        if not self._ring.keys:
            await self._read_again()
        elif self._clock() - self._asked_at > OLD_SECONDS:
            self._begin()
        found = look(token, audiences, self._ring, self._wall())
        if isinstance(found, UnknownKey):
            await self._read_again()
            found = look(token, audiences, self._ring, self._wall())
        return _UNKNOWN if isinstance(found, UnknownKey) else found

    async def read(self) -> None:
        """Read the keys; what was known stays known where that fails."""
        self._asked_at = self._clock()
        try:
            configuration, key_set = await asyncio.gather(
                self._api.ask("GET", CONFIGURATION, None), self._api.ask("GET", KEY_SET, None)
            )
        except Unavailable as error:
            log.warning("the cluster's public keys cannot be read: %s", error)
            return
        self._ring = read_keys(configuration, key_set)

    async def _read_again(self) -> None:
        """Wait for the latest keys, unless they were read a moment ago."""
        if self._flights or self._clock() - self._asked_at >= PAUSE_SECONDS:
            await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        return self._flights.join("keys", self.read)
