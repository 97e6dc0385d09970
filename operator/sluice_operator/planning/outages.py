"""Whose fault it is that a version's features could not be had: the feature store's, or the version's own.

Both are answered with the same 503. The witness is the stable version, which asks the same store: while its calls get
no answer either, the store is away, and nobody's 503s say anything of a version. While its calls are answered, a canary
that gets none has a wrong reference, a wrong credential, or asks for too much. Time is cut into slices, so that one bad
moment of the store excuses that moment and not a whole window; at the edges of an outage, and where stable had no
reason to ask, nobody can tell, and what is in doubt decides neither way.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
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
RECENT = 24
"""A store that answered some calls in more than so many of the recent slices is one that answers: outages end."""


MISSED = 0.05
"""So much of what it asks a version has to go without before it missed the store: one call that is lost is none."""

AT_MOST_BEYOND = 2.0
"""Routers may know of so many times the failures that pods tell: pods go, and are asked at another moment."""


@dataclass(frozen=True)
class Calls:
    """Of a version in a slice. `refused`: requests that were answered with an error for want of the store's answer.

    Of its calls of the store, those `answered` with features, `lost` ones (nothing came, or a gateway's word), and
    `useless` ones (a status or an answer of no use, which may be about the keys of a request alone). `filled`: requests
    that were answered with defaults for want of the store's answer.
    """

    refused: int = 0
    answered: int = 0
    lost: int = 0
    useless: int = 0
    filled: int = 0

    @property
    def hurt(self) -> bool:
        """Whether it missed the store, rather than a call of it."""
        return _is_much(max(self.lost + self.useless, self.refused + self.filled), self.answered)

    @property
    def torn(self) -> bool:
        """Whether it missed the store without a fault of its requests' own. Who has lost some calls asks no more for a
        time, and then those that went without tell more than the calls.
        """
        return self.lost > 0 and _is_much(max(self.lost, self.refused + self.filled - self.useless), self.answered)


def _is_much(missed: int, answered: int) -> bool:
    return missed > 0 and missed >= MISSED * (missed + answered)


class State(Enum):
    """What the witness' calls say of the store in a slice."""

    there = "there"
    away = "away"
    torn = "torn"
    unknown = "unknown"


def state(calls: Calls) -> State:
    """`torn`: calls were answered, and others lost, as at the edges of an outage. Statuses alone say nothing: they may
    be about the keys of requests, and of a store that answers nothing else nobody can tell.
    """
    if not calls.answered:
        return State.away if calls.lost else State.unknown
    return State.torn if calls.torn else State.there


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
        self._recent: deque[State] = deque(maxlen=RECENT)
        self._steady = False
        self._held: Mapping[str, Calls] = {}
        self._left_out: Counter[str] = Counter()
        self._doubtful: Counter[str] = Counter()
        self._clouded: set[str] = set()
        self._heard = Calls()
        self._said = State.unknown
        self._missed_in_slice = False
        self._missed_in_window = False

    def open_window(self) -> None:
        """Count from the last look; what the store was like is not forgotten."""
        self._before_window = self._open
        self._held = {}
        self._left_out.clear()
        self._doubtful.clear()
        self._clouded.clear()
        self._missed_in_window = False

    def look(self, now: float, witness: str, calls: Mapping[str, Calls], complete: bool = True) -> bool:
        """Take what each version did since the slice began. True where that is over, and the next one begins.

        `complete`: every pod of every version has told its part. What a silent one has to tell belongs to the slice in
        which it is silent; while the store is there it makes no difference, and nobody waits for it for long.
        """
        mine = calls.get(witness, Calls())
        self._listen(mine)
        said = state(mine)
        self._open, self._open_state = calls, said
        lasted = now - self._since
        if lasted < (SLICE_SECONDS if complete and said is not State.unknown else SILENT_SECONDS):
            return False
        if not complete and (self._missed_in_slice or said is not State.there):
            return False
        self._close(self._tolerated(said))
        self._since, self._open, self._open_state, self._before_window = now, {}, State.unknown, {}
        self._heard, self._missed_in_slice = Calls(), False
        return True

    def _listen(self, witness: Calls) -> None:
        """A slice may grow long, and a moment without the store is little of it."""
        news = Calls(*(after - before for after, before in zip(astuple(witness), astuple(self._heard), strict=True)))
        self._heard, self._said = witness, state(witness)
        if state(news) in (State.away, State.torn):
            self._missed_in_slice = self._missed_in_window = True

    @property
    def suspected(self) -> bool:
        """Whether the store may have been missed in the window: the witness has missed it, or does not ask it."""
        return self._missed_in_window or self._said is not State.there

    def excuse(self, revision: str) -> Excuse:
        """What of this version's window is put down to the store."""
        clouded = revision in self._clouded
        now_hurt = self._open_state is not State.there and self._open.get(revision, Calls()).hurt
        undecided = self._refused(revision) + self._held.get(revision, Calls()).refused
        return Excuse(
            left_out=self._left_out[revision],
            doubtful=self._doubtful[revision] + undecided,
            clouded=clouded or now_hurt,
            over=self._steady and (clouded or self._doubtful[revision] > 0),
        )

    def _refused(self, revision: str) -> int:
        """In the present slice, within the window."""
        before = self._before_window.get(revision, Calls()).refused
        return max(0, self._open.get(revision, Calls()).refused - before)

    def _tolerated(self, said: State) -> State:
        """A store that answers some calls for longer than an outage begins or ends is one that answers."""
        if said is State.away:
            self._recent.clear()
        self._recent.append(said)
        return State.there if said is State.torn and self._recent.count(said) > TORN_AT_MOST else said

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


def spread(excuse: Excuse, told: int, counted: int) -> Excuse:
    """The shares that it has of the failures that pods tell (`told`), of those that routers counted: the two are asked
    at different moments, and pods take with them what they have not told yet.
    """
    if not told:
        return excuse
    ratio = min(counted / told, AT_MOST_BEYOND)
    left_out = min(counted, round(excuse.left_out * ratio))
    doubtful = min(counted, round((excuse.left_out + excuse.doubtful) * ratio)) - left_out
    return replace(excuse, left_out=left_out, doubtful=doubtful)


def untold(excuse: Excuse, told: int, counted: int, suspected: bool) -> Excuse:
    """Where a pod is silent: what no pod tells may be refusals, if the store may have been missed at all."""
    unseen = max(0, counted - told) if suspected else 0
    return replace(excuse, doubtful=excuse.doubtful + unseen, untold=unseen > 0)


def _asked(calls: Calls) -> tuple[int, int, int, int]:
    return calls.answered, calls.lost, calls.useless, calls.filled
