"""gRPC that no client should send, from a seed: messages that are wrong, and connections whose very frames are."""

from __future__ import annotations

import random
from collections.abc import Iterator

from runtime.http2_raw import call, head, message
from sluice_runtime.http2.frames import DATA, PREFACE, SETTINGS, frame

MOST_CALLS = 8
_VARINTS = (0, 1, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


class HostileCalls:
    """Makes connections from a message that is well: the bytes that go over the wire, and how many calls they hold.

    Half of the connections are sound HTTP/2 with wrong messages; of the others the frames are spoiled too.
    """

    def __init__(self, well: bytes, seed: int) -> None:
        self._well = well
        self._random = random.Random(seed)

    def connections(self, calls: int) -> Iterator[tuple[bytes, int | None]]:
        """Connections with so many calls in all; None for the number of answers that nobody can foretell."""
        while calls > 0:
            count = min(calls, self._random.randint(1, MOST_CALLS))
            calls -= count
            yield self._connection(count)

    def _connection(self, count: int) -> tuple[bytes, int | None]:
        chance = self._random
        frames = [piece for number in range(count) for piece in self._call(2 * number + 1)]
        if chance.random() < 0.5:
            return PREFACE + frame(SETTINGS, 0, 0) + b"".join(frames), count
        if chance.random() < 0.5:
            chance.shuffle(frames)
        stream = PREFACE + frame(SETTINGS, 0, 0) + spoiled(chance, b"".join(frames))
        return (stream if chance.random() < 0.95 else spoiled(chance, stream)), None

    def _call(self, number: int) -> tuple[bytes, bytes]:
        chance = self._random
        framed = message(spoiled(chance, self._well), chance.choice((0, 0, 0, 0, 1, 2)))
        if chance.random() < 0.1:
            framed = spoiled(chance, framed)
        return call(number, head()), frame(DATA, 1, number, framed)


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """Bytes with a few things wrong: changed, cut, repeated, or with another number where one may stand."""
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data = data[:at] + chance.randbytes(chance.randint(1, 4)) + data[at + chance.randint(0, 4) :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + data[at : at + chance.randint(1, 200)] * chance.randint(2, 20) + data[at:]
        elif kind == 3:
            data = data[:at] + varint(chance.choice(_VARINTS)) + data[at + 1 :]
        else:
            data = (
                data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :] if at < len(data) else data
            )
    return data


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))
