"""What was answered lately to marked requests, so that what two versions say to the same request can be compared.

While a router copies requests it marks each and its copy with the same id. Of the answer to a marked request a digest
is kept, and the operator, which reads the digests of both versions, joins them. What is kept is bounded in every
direction; under load both versions thin out by the ids, so that what one has kept the other has too.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from sluice.comparison import MARK
from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.errors import STATUS, Kind
from sluice_runtime.signature import Tensor, Tensors

HEADER = MARK.encode()
KEPT = 512
"""Answers."""
VALUES = 64
"""Of an answer, over all its outputs: evenly spread where there are more."""
REACH_SECONDS = 10.0
"""What is kept reaches back at least so far, so that an answer can still be found when a slow version gives its own."""
KEPT_SECONDS = 60.0
LONGEST_MARK = 64
_TEXT_BYTES = 4096
"""Of an element of BYTES, beside its length."""

_TELLING = frozenset((Kind.INVALID, Kind.UNKNOWN, Kind.TOO_LARGE, Kind.NOT_ALLOWED, Kind.FAILED))
"""Errors that say what a version makes of a request; the others say that there was no time for it."""


@dataclass(frozen=True, slots=True)
class Output:
    """Some of an output's values, as it held them; checksums of BYTES."""

    datatype: Datatype
    shape: tuple[int, ...]
    values: Tensor

    def told(self) -> dict[str, Any]:
        """As JSON, which has no word for numbers that are not finite: these are text."""
        numbers = bfloat16.to_float32(self.values) if self.datatype is Datatype.BF16 else self.values
        values = [value if math.isfinite(value) else str(value) for value in numbers.tolist()]
        return {"datatype": self.datatype.value, "shape": self.shape, "values": values}


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer: outputs by name, or the HTTP status of an error."""

    number: int
    at: float
    mark: bytes
    draw: int
    outputs: Mapping[str, Output]
    error: int | None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        said = {"number": self.number, "id": self.mark.decode("latin-1")}
        if self.error is not None:
            return {**said, "error": self.error}
        return {**said, "outputs": {name: output.told() for name, output in self.outputs.items()}}


class Answers:
    """The answers kept, oldest first. `clock` gives seconds that never go back.

    Numbers of answers rise from the process's start in milliseconds, so that those of a restarted one come later.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[Kept] = deque(maxlen=KEPT)
        self._number = time.time_ns() // 1_000_000
        self._mask = 0

    def keep(self, mark: bytes, specs: Mapping[str, TensorSpec], outputs: Tensors) -> None:
        """Note a prediction; `specs` are the outputs' own."""
        draw = crc32(mark)
        if not draw & self._mask:
            self._add(mark, draw, _digest(specs, outputs), None)

    def refuse(self, mark: bytes, kind: Kind) -> None:
        """Note an error, if it says something of the version."""
        draw = crc32(mark)
        if kind in _TELLING and not draw & self._mask:
            self._add(mark, draw, {}, STATUS[kind])

    def after(self, number: int) -> list[dict[str, Any]]:
        """Those with a higher number, as JSON."""
        self._forget(self._clock())
        return [kept.told() for kept in self._kept if kept.number > number]

    def _add(self, mark: bytes, draw: int, outputs: Mapping[str, Output], error: int | None) -> None:
        if len(mark) > LONGEST_MARK:
            return
        now = self._clock()
        self._forget(now)
        self._settle_share(now)
        self._number += 1
        self._kept.append(Kept(self._number, now, mark, draw, outputs, error))

    def _forget(self, now: float) -> None:
        while self._kept and self._kept[0].at < now - KEPT_SECONDS:
            self._kept.popleft()

    def _settle_share(self, now: float) -> None:
        """Keep half as many where the oldest would have to go too early, twice as many where there is room."""
        if len(self._kept) == KEPT and self._kept[0].at > now - REACH_SECONDS:
            self._mask = self._mask << 1 | 1
            self._kept = deque((kept for kept in self._kept if not kept.draw & self._mask), maxlen=KEPT)
        elif len(self._kept) < KEPT // 4:
            self._mask >>= 1


def _digest(specs: Mapping[str, TensorSpec], outputs: Tensors) -> dict[str, Output]:
    most = max(1, VALUES // max(1, len(outputs)))
    return {name: Output(specs[name].datatype, tensor.shape, _spread(tensor, most)) for name, tensor in outputs.items()}


def _spread(tensor: Tensor, most: int) -> Tensor:
    """At most so many values from all over a tensor, without a hold on the batch that it is a part of."""
    values = tensor.reshape(-1)[:: max(1, math.ceil(tensor.size / most))]
    if tensor.dtype != np.object_:
        return values.copy()
    return np.array([_checksum(text) for text in values], np.uint32)


def _checksum(text: str) -> int:
    encoded = text.encode()
    return crc32(encoded[:_TEXT_BYTES], len(encoded))
