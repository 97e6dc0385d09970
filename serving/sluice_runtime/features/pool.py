"""Connections to the store that are kept for the next question, and what every question carries."""

from __future__ import annotations

import asyncio
import ssl

from sluice_runtime.features.credentials import Credentials
from sluice_runtime.features.http import Address, Connection, connect

_QUIET_SECONDS = 15.0
"""How long a connection is kept without use; Feast closes it after 30 s."""


class Pool:
    """Of one address. To be made and used within one running event loop."""

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._loop = asyncio.get_running_loop()
        self._kept: list[Connection] = []
        self._trusted: ssl.SSLContext | None = None

    def request(self, body: bytes) -> bytes:
        """What is sent.

        Raises:
            OSError: the token cannot be read.
            ValueError: it is not what a header can carry.
        """
        return self._address.request(self._credentials.headers(), body)

    def kept(self) -> Connection | None:
        """A connection that nobody uses, if there is one.

        Raises:
            OSError: whom to trust cannot be read.
        """
        self._trusts()
        while self._kept:
            connection = self._kept.pop()
            if connection.free and self._loop.time() - connection.used_at < _QUIET_SECONDS:
                return connection
            connection.close()
        return None

    async def connected(self) -> Connection:
        """A new connection.

        Raises:
            OSError: there is none.
            UnicodeError: a name that no resolver takes.
        """
        return await connect(self._address, self._trusts())

    def keep(self, connection: Connection) -> None:
        """For the next question, unless it is closed."""
        if connection.free:
            connection.used_at = self._loop.time()
            self._kept.append(connection)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._kept:
            self._kept.pop().close()

    def _trusts(self) -> ssl.SSLContext | None:
        """Whom to trust; connections that were made when it was somebody else are closed."""
        if not self._address.tls:
            return None
        trusts = self._credentials.trusts()
        if trusts is not self._trusted:
            self.close()
            self._trusted = trusts
        return trusts
