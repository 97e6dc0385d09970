"""What each revision did over time, for a person to look at: a bounded past, held in memory and never decided upon.

Decisions rest on `status` alone; a restart empties these plots and nothing else.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

from sluice_operator.planning.histograms import quantile
from sluice_operator.planning.observed import Window

SAMPLES_KEPT = 720
"""An hour at one sample every five seconds."""

MODELS_KEPT = 64
"""With the above, some 20 MiB at most; the model not sampled for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Point:
    """One revision since the sample before: answers a second, the fraction of 5xx and latency in seconds.

    `weight` is the verified percent of the requests. None: not measured, or nothing was answered.
    """

    weight: int
    rate: float | None = None
    error_rate: float | None = None
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: Unix time in seconds, and a point for each revision with pods."""

    time: float
    points: Mapping[str, Point]


def point(weight: int, window: Window | None, seconds: float | None) -> Point:
    """A revision's point from what it did in so many seconds; None for the first look, which measures nothing."""
    if window is None or not seconds:
        return Point(weight)
    if not window.requests:
        return Point(weight, rate=0.0)
    return Point(
        weight,
        rate=window.requests / seconds,
        error_rate=window.errors / window.requests,
        p50=quantile(0.5, window.latency or {}),
        p99=quantile(0.99, window.latency or {}),
    )


class Series:
    """The last samples of the last models, by (namespace, name)."""

    def __init__(self, samples: int = SAMPLES_KEPT, models: int = MODELS_KEPT) -> None:
        self._samples = samples
        self._models = models
        self._kept: OrderedDict[tuple[str, str], deque[Sample]] = OrderedDict()

    def add(self, key: tuple[str, str], sample: Sample) -> None:
        """Keep a sample."""
        kept = self._kept.setdefault(key, deque(maxlen=self._samples))
        kept.append(sample)
        self._kept.move_to_end(key)
        while len(self._kept) > self._models:
            self._kept.popitem(last=False)

    def of(self, key: tuple[str, str], after: float = 0.0) -> list[Sample]:
        """A model's samples later than `after` (Unix time), oldest first."""
        later = takewhile(lambda sample: sample.time > after, reversed(self._kept.get(key, ())))
        return list(later)[::-1]

    def last(self, key: tuple[str, str]) -> Sample | None:
        """A model's latest sample."""
        kept = self._kept.get(key)
        return kept[-1] if kept else None

    def keep_only(self, keys: Iterable[tuple[str, str]]) -> None:
        """Forget models that are gone."""
        for gone in self._kept.keys() - set(keys):
            del self._kept[gone]
