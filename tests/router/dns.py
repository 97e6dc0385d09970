"""A DNS server that says what it is told, to see what a router makes of it (RFC 1035)."""

import asyncio
import struct
from enum import IntEnum


class Rcode(IntEnum):
    """Response codes of RFC 1035, 4.1.1."""

    no_error = 0
    server_failure = 2
    name_error = 3


class Dns(asyncio.DatagramProtocol):
    """Answers every A question with `addresses` or `rcode`; other types have no records. `silent` answers nothing."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.rcode = Rcode.no_error
        self.silent = False
        self.questions = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))

    def stop(self) -> None:
        assert self._transport
        self._transport.close()

    @property
    def address(self) -> tuple[str, int]:
        assert self._transport
        host, port = self._transport.get_extra_info("sockname")
        return host, port

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions += 1
        if not self.silent:
            assert self._transport
            self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(0, 12) + 5
        question = query[12:end]
        is_a = question[-4:-2] == b"\0\1"
        records = [_record(address) for address in self.addresses] if is_a and self.rcode == Rcode.no_error else []
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | self.rcode, 1, len(records), 0, 0)
        return header + question + b"".join(records)


def _record(address: str) -> bytes:
    """An A record for the name of the question, kept for 30 s."""
    octets = bytes(int(part) for part in address.split("."))
    return struct.pack("!HHHIH", 0xC00C, 1, 1, 30, 4) + octets
