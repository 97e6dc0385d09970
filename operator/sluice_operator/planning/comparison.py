"""Whether two versions said the same to the same request, and what that amounts to over many requests.

Numbers of floating point may differ by a tolerance, as numpy.allclose has it; everything else has to be equal: whole
numbers (class labels), truth values, text, shapes, datatypes, names of outputs, and which requests are refused.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OUTPUTS_KEPT = 16
"""Whose differences are told one by one."""

_FLOATING = frozenset(("FP16", "FP32", "FP64", "BF16"))


@dataclass(frozen=True)
class Tolerance:
    """Of two numbers of floating point: |canary - stable| may be `absolute` + `relative` * |stable|."""

    relative: float
    absolute: float

    def allows(self, stable: float, canary: float) -> bool:
        """Whether the two count as the same."""
        if stable == canary or (math.isnan(stable) and math.isnan(canary)):
            return True
        if not (math.isfinite(stable) and math.isfinite(canary)):
            return False
        return abs(canary - stable) <= self.absolute + self.relative * abs(stable)


@dataclass(frozen=True)
class Output:
    """Some values of an output, from all over it; checksums of text."""

    datatype: str
    shape: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Said:
    """What a version said to one request: outputs by name, or the HTTP status of an error."""

    outputs: Mapping[str, Output] = field(default_factory=dict)
    error: int | None = None


@dataclass
class OutputTally:
    """Of one output: in how many pairs it differed, and by how much two of its numbers at most."""

    different: int = 0
    largest: float = 0.0


@dataclass
class Tally:
    """Pairs of answers to the same request. `errors`: different ones of which at least one was an error."""

    pairs: int = 0
    different: int = 0
    errors: int = 0
    outputs: dict[str, OutputTally] = field(default_factory=dict)

    def add(self, stable: Said, canary: Said, tolerance: Tolerance) -> None:
        """Count one more pair."""
        self.pairs += 1
        if stable.error is not None or canary.error is not None:
            self.errors += stable.error != canary.error
            self.different += stable.error != canary.error
            return
        names = sorted(stable.outputs.keys() | canary.outputs.keys())
        differ = [
            self._add_output(name, stable.outputs.get(name), canary.outputs.get(name), tolerance) for name in names
        ]
        self.different += any(differ)

    def _add_output(self, name: str, stable: Output | None, canary: Output | None, tolerance: Tolerance) -> bool:
        tally = self.outputs.get(name) or OutputTally()
        if len(self.outputs) < OUTPUTS_KEPT:
            self.outputs[name] = tally
        alike = stable and canary and (stable.datatype, stable.shape) == (canary.datatype, canary.shape)
        if not (stable and canary and alike):
            tally.different += 1
            return True
        if stable.datatype in _FLOATING:
            tally.largest = max(tally.largest, largest(stable.values, canary.values))
            differs = not all(map(tolerance.allows, stable.values, canary.values))
        else:
            differs = stable.values != canary.values
        tally.different += differs
        return differs


def largest(stable: Iterable[float], canary: Iterable[float]) -> float:
    """The largest difference of two numbers at the same place; 0 where none are finite."""
    gaps = (abs(one - other) for one, other in zip(stable, canary, strict=False))
    return max((gap for gap in gaps if math.isfinite(gap)), default=0.0)


@dataclass(frozen=True)
class Comparison:
    """What was compared while requests are copied: in all, and since the analysis window opened.

    `complete`: every pod of both versions told its answers this time.
    """

    total: Tally
    pairs: int
    different: int
    complete: bool = True
