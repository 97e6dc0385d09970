"""Whose fault it is that a version's features could not be had: the feature store's, or the version's own.

Both are answered with the same 503. The witness is the stable version, which asks the same store: while its calls get
no answer either, the store is away, and nobody's 503s say anything of a version. While its calls are answered, a canary
that gets none has a wrong reference, a wrong credential, or asks for too much. Time is cut into slices, so that one bad
moment of the store excuses that moment and not a whole window; at the edges of an outage, and where stable had no
reason to ask, nobody can tell, and what is in doubt decides neither way.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.planning.observed import Excuse, RevisionRecord

LOOK_SECONDS = 5.0
"""How often pods are asked while a witness is heard."""

SLICE_SECONDS = 4.0
"""A slice is as long at least: pods notice within 2 s that a store is back."""

SILENT_SECONDS = 30.0
"""A slice in which the witness did not ask is over after so long, and tells nothing."""

TORN_AT_MOST = 3
"""Slices in a row in which a store answered some calls: after these it is one that answers."""


@dataclass(frozen=True)
class Calls:
    """Of a version in a slice. `refused`: requests that were answered with an error for want of the store's answer.

    Of its calls of the store, those `answered` with features, `lost` ones (nothing came), and `useless` ones (a status
    or an answer of no use, which may be about the keys of a request alone).
    """

    refused: int = 0
    answered: int = 0
    lost: int = 0
    useless: int = 0

    @property
    def hurt(self) -> bool:
        """Whether it missed the store."""
        return self.refused + self.lost + self.useless > 0


class State(Enum):
    """What the witness' calls say of the store in a slice."""

    there = "there"
    away = "away"
    torn = "torn"
    unknown = "unknown"


def state(calls: Calls) -> State:
    """`torn`: some calls were answered, and of others nothing came, as at the edges of an outage."""
    if not calls.answered:
        return State.away if calls.lost + calls.useless else State.unknown
    return State.torn if calls.lost else State.there


def witness(resource: ModelDeployment, records: Mapping[str, RevisionRecord]) -> str | None:
    """The stable revision, where it asks the store that the canary asks; None where nobody can say how that one is."""
    stable, canary = resource.status.stable, resource.status.canary
    of_stable = records.get(stable.revision) if stable else None
    of_canary = records.get(canary.revision) if canary else None
    if not (of_stable and of_canary and of_stable.features and of_canary.features):
        return None
    return of_stable.revision if of_stable.features.store.url == of_canary.features.store.url else None


class Outages:
    """What is put down to the store since the window opened. `since`: when the present slice began; any clock."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._open: Mapping[str, Calls] = {}
        self._open_state = State.unknown
        self._before_window: Mapping[str, Calls] = {}
        self._last = State.there
        self._torn_in_row = 0
        self._steady = False
        self._held: Mapping[str, Calls] = {}
        self._left_out: Counter[str] = Counter()
        self._doubtful: Counter[str] = Counter()
        self._clouded: set[str] = set()

    def open_window(self) -> None:
        """Count from the last look; what the store was like is not forgotten."""
        self._before_window = self._open
        self._held = {}
        self._left_out.clear()
        self._doubtful.clear()
        self._clouded.clear()

    def look(self, now: float, witness: str, calls: Mapping[str, Calls], complete: bool = True) -> bool:
        """Take what each version did since the slice began. True where that is over, and the next one begins.

        `complete`: every pod of every version has told its part.
        """
        said = state(calls.get(witness, Calls()))
        self._open, self._open_state = calls, said
        lasted = now - self._since
        if not complete or lasted < SLICE_SECONDS or (said is State.unknown and lasted < SILENT_SECONDS):
            return False
        self._close(self._tolerated(said))
        self._since, self._open, self._open_state, self._before_window = now, {}, State.unknown, {}
        return True

    def excuse(self, revision: str) -> Excuse:
        """What of this version's window is put down to the store."""
        clouded = revision in self._clouded
        now_hurt = self._open_state is not State.there and self._open.get(revision, Calls()).hurt
        undecided = self._refused(revision) + self._held.get(revision, Calls()).refused
        return Excuse(
            left_out=self._left_out[revision],
            doubtful=self._doubtful[revision] + undecided,
            clouded=clouded or now_hurt,
            over=clouded and self._steady,
        )

    def _refused(self, revision: str) -> int:
        """In the present slice, within the window."""
        before = self._before_window.get(revision, Calls()).refused
        return max(0, self._open.get(revision, Calls()).refused - before)

    def _tolerated(self, said: State) -> State:
        """A store that answers some calls for longer than an outage begins or ends is one that answers."""
        self._torn_in_row = self._torn_in_row + 1 if said is State.torn else 0
        return State.there if self._torn_in_row > TORN_AT_MOST else said

    def _close(self, said: State) -> None:
        """A slice's errors are a version's own where the store was there in it, before it and after it."""
        calm = said is State.there
        if not calm:
            self._doubt(self._held)
        inside = {revision: Calls(self._refused(revision), *_asked(calls)) for revision, calls in self._open.items()}
        self._steady = calm and self._last is State.there
        self._held = inside if self._steady else {}
        if said is State.away:
            self._left_out.update({revision: calls.refused for revision, calls in inside.items()})
            self._clouded.update(revision for revision, calls in inside.items() if calls.hurt)
        elif not self._steady:
            self._doubt(inside)
        self._last = said

    def _doubt(self, slice_: Mapping[str, Calls]) -> None:
        self._doubtful.update({revision: calls.refused for revision, calls in slice_.items()})
        self._clouded.update(revision for revision, calls in slice_.items() if calls.hurt)


def told(excuse: Excuse) -> Iterator[str]:
    """It, for a person."""
    if excuse.left_out:
        yield f"{excuse.left_out} answers are left out: the feature store was away"
    if excuse.doubtful:
        yield f"{excuse.doubtful} errors are in doubt: the feature store may have been away"


def _asked(calls: Calls) -> tuple[int, int, int]:
    return calls.answered, calls.lost, calls.useless
