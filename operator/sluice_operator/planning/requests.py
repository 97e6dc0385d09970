"""Requests of people, one more move of a pass: what is decided and its answer are one write, so each is handled once.

What cannot be done now is refused with the reason; nothing is kept for later, so that an old request never surprises.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sluice_operator.api import names
from sluice_operator.api.request import Action, Request, parse
from sluice_operator.api.status import (
    Blocked,
    Failure,
    HistoryEntry,
    ModelDeploymentStatus,
    Pause,
    Phase,
    RequestStatus,
)
from sluice_operator.planning import pausing
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.rollout import roll_back, was_stable
from sluice_operator.planning.situation import Situation

ANSWERS_KEPT = 20
ABORTED = "Aborted"
ROLLED_BACK = "RolledBackByRequest"


@dataclass(frozen=True)
class Answer:
    """What becomes of a request: the status with it done, or unchanged where it is refused."""

    status: ModelDeploymentStatus
    message: str
    outcome: Literal["Done", "Refused"] = "Done"


def handle(s: Situation) -> ModelDeploymentStatus:
    """The status with the request carried out and answered; unchanged where there is none, or it is answered."""
    text = s.resource.request
    if not text:
        return s.status
    if s.status.observed_generation == 0:
        return s.update(requests=dismiss(s))
    try:
        request = parse(text)
    except ValueError as error:
        return _answered(s, RequestStatus(id=names.short_hash(text), **_answer(s, _refused(s, str(error)))), s.status)
    if _known(s, request.id):
        return s.status
    answer = _ACTIONS[request.action](s, request)
    return _answered(s, _told(s, request, answer), answer.status) if answer else s.status


def dismiss(s: Situation) -> list[RequestStatus]:
    """Answers where no status was found: a request that is there may be an old one, so it is not carried out again."""
    try:
        request = parse(s.resource.request)
    except ValueError:
        return s.status.requests
    why = "there was no status yet, so it may have been done before the status was lost: ask again"
    return [_told(s, request, _refused(s, why))]


def _told(s: Situation, request: Request, answer: Answer) -> RequestStatus:
    return RequestStatus(id=request.id, action=request.action.value, by=request.by, **_answer(s, answer))


def _answer(s: Situation, answer: Answer) -> dict[str, Any]:
    return {"outcome": answer.outcome, "message": answer.message, "at": stamp(s.now)}


def _known(s: Situation, asked: str) -> bool:
    return any(entry.id == asked for entry in s.status.requests)


def _answered(s: Situation, told: RequestStatus, after: ModelDeploymentStatus) -> ModelDeploymentStatus:
    if _known(s, told.id):
        return s.status
    return after.model_copy(update={"requests": [told, *s.status.requests][:ANSWERS_KEPT]})


def _refused(s: Situation, why: str) -> Answer:
    return Answer(s.status, why, "Refused")


def _no_walk(s: Situation, request: Request) -> Answer | None:
    """Why there is nothing to promote or pause, where there is not."""
    rollout, blocked = s.status.rollout, s.status.blocked
    if rollout is None or s.status.canary is None:
        told = f"; the spec is blocked ({blocked.reason}): retry starts it anew" if blocked else ""
        return _refused(s, f"no rollout is under way{told}")
    if rollout.phase is Phase.rolling_back:
        return _refused(s, f"{s.canary.revision} is being taken back")
    if request.revision and request.revision != s.canary.revision:
        return _refused(s, f"{request.revision} is not the revision under way, {s.canary.revision} is")
    return None


def _held_by_spec(s: Situation) -> Answer | None:
    """A pause in the spec is for the spec to end: what is in Git stays true."""
    if not s.resource.spec.rollout.paused or pausing.never_waits(s):
        return None
    return _refused(s, "spec.rollout.paused is true: set it to false where the spec is kept")


def _promote(s: Situation, request: Request) -> Answer | None:
    if refusal := _no_walk(s, request) or _held_by_spec(s):
        return refusal
    if request.full:
        return _promote_fully(s)
    at, revision = s.rollout.step, s.canary.revision
    if pausing.pauses_here(s):
        waits = "goes on" if s.rollout.pause else "does not wait for a person once the step is done"
        return Answer(s.progress(pause=None, released_step=at), f"{revision} {waits}")
    if s.rollout.pause:
        return Answer(s.progress(pause=None), f"{revision} goes on")
    return _refused(s, f"{revision} is not paused and goes on by itself; a full promote skips the remaining steps")


def _promote_fully(s: Situation) -> Answer:
    """Everything as soon as the pods can carry it. A person skips time and verdicts; webhooks still have a say."""
    told = f"{s.canary.revision} gets everything as soon as it can; remaining steps and analysis are skipped"
    return Answer(s.progress(full=True, pause=None), told)


def _abort(s: Situation, request: Request) -> Answer | None:
    if s.status.rollout is None and s.status.blocked is None and _about_to_start(s):
        return _abort_before_start(s, request)
    if refusal := _no_walk(s, request):
        return refusal
    failure = Failure(reason=ABORTED, message=f"aborted{_by(request)}")
    return Answer(roll_back(s, failure), f"{s.canary.revision} is taken back")


def _about_to_start(s: Situation) -> bool:
    stable = s.status.stable
    return not s.target.refusal and (stable is None or stable.revision != s.target.revision)


def _abort_before_start(s: Situation, request: Request) -> Answer:
    blocked = Blocked(
        spec_hash=s.target.spec_hash,
        revision=s.target.revision or "",
        uri=s.target.record.uri if s.target.record else "",
        reason=ABORTED,
        message=f"aborted before its rollout began{_by(request)}",
        at=stamp(s.now),
    )
    return Answer(s.update(blocked=blocked), "the version in the spec is not started")


def _retry(s: Situation, request: Request) -> Answer | None:
    blocked = s.status.blocked
    if blocked is None:
        refusal = s.target.refusal
        return _refused(s, f"the spec itself must change: {refusal.message}" if refusal else "nothing is blocked")
    if request.revision and request.revision != blocked.revision:
        return _refused(s, f"{request.revision} is not what is blocked, {blocked.revision or 'the spec'} is")
    if s.target.spec_hash in s.observed.resolvers:
        # Its job is still being removed, and would answer again what it answered before.
        return None
    # What was not resolved is resolved anew; a known revision stays what it is.
    resolved = s.status.resolved if blocked.revision in s.observed.records else None
    return Answer(s.update(blocked=None, resolved=resolved), f"{blocked.revision or 'the spec'} is tried again")


def _rollback(s: Situation, request: Request) -> Answer | None:
    stable = s.status.stable
    if stable is None:
        return _refused(s, "there is no stable version yet: abort takes the first one away")
    if s.status.rollout and request.revision in ("", stable.revision):
        return _back_to_stable(s, request)
    former = request.revision or _former(s)
    if refusal := _cannot_return(s, former):
        return refusal
    known = s.status.blocked if s.status.blocked and s.status.blocked.spec_hash == s.target.spec_hash else None
    blocked = Blocked(
        spec_hash=s.target.spec_hash,
        revision=known.revision if known else s.target.revision or "",
        uri=known.uri if known else s.target.record.uri if s.target.record else "",
        reason=ROLLED_BACK,
        message=f"rolled back to {former}{_by(request)}",
        at=stamp(s.now),
        instead=former,
        by=request.by,
    )
    return Answer(s.update(blocked=blocked), f"{former} takes over; the spec is blocked until it changes or a retry")


def _back_to_stable(s: Situation, request: Request) -> Answer:
    if s.rollout.phase is Phase.rolling_back:
        return _refused(s, f"{s.canary.revision} is being taken back already")
    failure = Failure(reason=ROLLED_BACK, message=f"rolled back{_by(request)}")
    return Answer(roll_back(s, failure), f"{s.canary.revision} is taken back")


def _cannot_return(s: Situation, former: str) -> Answer | None:
    stable, blocked = s.status.stable, s.status.blocked
    if stable and former == stable.revision:
        return _refused(s, f"{former} is stable already")
    if blocked and former == blocked.instead and s.status.rollout:
        return _refused(s, f"{former} is on its way already")
    remembered = [entry.revision for entry in _returnable(s)]
    if former not in remembered:
        known = ", ".join(remembered) or "none"
        return _refused(s, f"{former or 'no former revision'} is remembered as stable; these can be had: {known}")
    return None


def _former(s: Situation) -> str:
    return next((entry.revision for entry in _returnable(s)), "")


def _returnable(s: Situation) -> list[HistoryEntry]:
    """Former stable revisions, newest first, whose record is there."""
    stable = s.status.stable.revision if s.status.stable else ""
    promoted = [entry for entry in s.status.history if entry.outcome == "Promoted" and entry.revision != stable]
    return [e for e in promoted if e.revision in s.observed.records and was_stable(s.status, e.revision)]


def _pause(s: Situation, request: Request) -> Answer | None:
    if refusal := _no_walk(s, request):
        return refusal
    if pausing.never_waits(s):
        return _refused(s, f"{s.canary.revision} must not wait: nothing better is there")
    pause = Pause(cause="Request", since=stamp(s.now), by=request.by)
    return Answer(s.progress(pause=pause), f"{s.canary.revision} begins no further step until resume or promote")


def _resume(s: Situation, request: Request) -> Answer | None:
    if refusal := _no_walk(s, request) or _held_by_spec(s):
        return refusal
    pause = s.rollout.pause
    if pause is None or pause.cause != "Request":
        told = "waits at its step: promote lets it go on" if pause else "is not paused"
        return _refused(s, f"{s.canary.revision} {told}")
    return Answer(s.progress(pause=None), f"{s.canary.revision} goes on")


def _by(request: Request) -> str:
    return f" by {request.by}" if request.by else " by request"


_ACTIONS = {
    Action.promote: _promote,
    Action.abort: _abort,
    Action.retry: _retry,
    Action.rollback: _rollback,
    Action.pause: _pause,
    Action.resume: _resume,
}
