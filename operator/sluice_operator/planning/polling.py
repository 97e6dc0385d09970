"""Looking, every now and then, whether a reference still stands for what it stood for, and what a move means.

A look is a Job that lives no longer than it takes. That it began is written down before it is made, its name is made
from that, and the next one is due an interval after it: so an operator that dies at any moment goes on, and there is
never a second one. A move changes nothing but what the spec is resolved to; all else is the ordinary way of a version.
"""

from dataclasses import replace

from sluice.uri import parse_uri
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import ConditionStatus, ModelDeploymentStatus, PollStatus, Resolved
from sluice_operator.planning import resolver
from sluice_operator.planning.clock import seconds_left, stamp
from sluice_operator.planning.identity import Defaults, resolved_for
from sluice_operator.planning.observed import Problem
from sluice_operator.planning.requests import ABORTED
from sluice_operator.planning.situation import Situation

RETRIES = 1
"""For a pod that its node has lost; what the store says no to is asked again with the next look."""


_LATE_SHARE, _LATE_SECONDS = 0.25, 30.0
"""By so much of an interval, or so many seconds, a look may be late and is still made: an operator has more to do."""


def follow(s: Situation) -> ModelDeploymentStatus:
    """Begin a look that is due, or take in what the one under way has found."""
    poll = s.status.poll
    if poll and not (_follows(s) and poll.spec_hash == s.target.spec_hash):
        return s.update(poll=None)
    if not _follows(s):
        return s.status
    if poll and poll.running:
        return _take_in(s, poll)
    return _begin(s, poll) if seconds_to_look(s) <= 0 else s.status


def judge(uri: str, status: ModelDeploymentStatus) -> tuple[ConditionStatus, str, str]:
    """Whether the last look found what the reference stands for, and why, in a word and in a sentence."""
    poll, known = status.poll, status.resolved
    if poll and poll.failures:
        times = "" if poll.failures == 1 else f", {poll.failures} times in a row"
        return "False", poll.reason, f"the last look failed{times}: {poll.message}"
    if known is None:
        return "Unknown", "NotResolved", f"nobody knows yet what {uri} is"
    return "True", "Known", f"{uri} is {known.uri}"


def _follows(s: Situation) -> bool:
    """Whether the reference is looked at: not before it was resolved for the first time, or refused to be."""
    model, blocked = s.resource.spec.model, s.status.blocked
    if model.poll is None or model.digest or _cannot_move(model.uri):
        return False
    if _known(s) is not None:
        return True
    # One that nobody could resolve may be there tomorrow; one that a person aborted is theirs to retry.
    return blocked is not None and blocked.spec_hash == s.target.spec_hash and blocked.reason != ABORTED


def _cannot_move(uri: str) -> bool:
    try:
        return not parse_uri(uri).is_movable
    except ValueError:
        return True


def _known(s: Situation) -> Resolved | None:
    """What the reference was last seen to stand for."""
    if resolved := resolved_for(s.resource, s.target.spec_hash):
        return resolved
    record = s.target.record
    if record is None or record.spec_hash != s.target.spec_hash:
        return None
    # Of a former time: looked at again at once.
    return Resolved(spec_hash=record.spec_hash, uri=record.uri, reference=record.reference, digest=record.digest, at="")


def seconds_to_look(s: Situation) -> float:
    """Seconds until the next look is due; 0 or less where it is.

    One that was missed, because the operator was away, comes when the next one would have: those of all models at once
    would be as many Jobs.
    """
    poll, resolved, blocked = s.status.poll, resolved_for(s.resource, s.target.spec_hash), s.status.blocked
    since = poll.started_at if poll else resolved.at if resolved else blocked.at if blocked else ""
    if not since:
        return 0.0
    interval = _interval(s.resource)
    left = seconds_left(since, s.now, interval)
    late = -left % interval
    return left if left > 0 or late <= max(interval * _LATE_SHARE, _LATE_SECONDS) else interval - late


def _interval(resource: ModelDeployment) -> float:
    """Up to a tenth shorter than asked for, and each model's its own: looks that began together, because the operator
    was away or the models were made at once, do not stay together and cost as many Jobs at once each time.
    """
    share = int(names.short_hash(resource.uid), 16) / 16**10
    return seconds(resource.spec.model.poll or "0s") * (1 - share / 10)


def seconds_to_give_up(s: Situation) -> float | None:
    """Seconds that the look under way still has; None where none is."""
    poll = s.status.poll
    if poll is None or not poll.running:
        return None
    return seconds_left(poll.started_at, s.now, seconds(s.resource.spec.rollout.ready_deadline))


def wake_in(s: Situation) -> float | None:
    """Seconds until there is something to do about it; None where nothing is looked at."""
    if not _follows(s):
        return None
    left = seconds_to_give_up(s)
    return left if left is not None else seconds_to_look(s)


def _begin(s: Situation, former: PollStatus | None) -> ModelDeploymentStatus:
    known = _known(s)
    kept = former.model_dump(include={"failures", "reason", "message"}) if former else {}
    begun = PollStatus(
        spec_hash=s.target.spec_hash,
        started_at=stamp(s.now),
        running=True,
        known_uri=known.uri if known else "",
        **kept,
    )
    return s.update(poll=begun)


def _take_in(s: Situation, poll: PollStatus) -> ModelDeploymentStatus:
    answer = s.observed.resolvers.get(_key(poll))
    answer = resolver.checked(s, answer, poll.known_uri) if answer else None
    if answer and answer.state == "Succeeded":
        stays = bool(poll.known_uri) and answer.uri == poll.known_uri
        return _found(s, poll, None if stays else resolver.found(s, answer))
    late = (seconds_to_give_up(s) or 0.0) <= 0
    problem = answer.problem if answer else None
    if late or (answer and answer.state == "Failed") or (problem and problem.permanent):
        return _failed(s, poll, problem or Problem("NotResolvedInTime", "the look took longer than readyDeadline"))
    return s.status


def _found(s: Situation, poll: PollStatus, moved: Resolved | None) -> ModelDeploymentStatus:
    over = poll.model_copy(update={"running": False, "failures": 0, "reason": "", "message": ""})
    return s.update(poll=over, resolved=moved or _known(s))


def _failed(s: Situation, poll: PollStatus, problem: Problem) -> ModelDeploymentStatus:
    told = {"failures": poll.failures + 1, "reason": problem.reason, "message": problem.message}
    return s.update(poll=poll.model_copy(update={"running": False, **told}))


def jobs(s: Situation, defaults: Defaults) -> tuple[Manifest, ...]:
    """The look under way; once its end is written down it is taken away.

    Where the spec names no image it runs today's, as the settings it is given are today's: the image that a version is
    pinned to may be of a former release, which refuses settings that it does not know. A look during which the operator
    is upgraded is begun anew.
    """
    poll, record = s.status.poll, s.target.record
    if poll is None or not poll.running or not _follows(s):
        return ()
    # The installation may have no image for such an accelerator any more, and the version serves on.
    todays = replace(defaults, image=record.image) if record and not defaults.image else defaults
    return (resolver.job(s.resource, _key(poll), todays, poll.known_uri, RETRIES),)


def _key(poll: PollStatus) -> str:
    """The end of the job's name. Each look has its own: the one before may still be going away."""
    return names.short_hash({"look": poll.spec_hash, "at": poll.started_at})


def moved_since(s: Situation) -> bool:
    """Whether the reference stands for something else than what is blocked."""
    blocked, resolved = s.status.blocked, resolved_for(s.resource, s.target.spec_hash)
    if blocked is None or resolved is None:
        return False
    return resolved.uri != blocked.uri if blocked.uri else not blocked.revision
