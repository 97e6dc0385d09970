"""Why a rollout must be taken back: a checklist, the first reason that holds counts."""

from sluice_operator.api.analysis import OnInconclusive
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Failure
from sluice_operator.planning.clock import seconds_since
from sluice_operator.planning.situation import Situation, undecided

SUPERSEDED = "Superseded"


def reason_to_stop(s: Situation) -> Failure | None:
    """Why the rollout must be taken back now, if it must."""
    return _superseded(s) or _broken(s) or _too_slow(s) or _judged_bad(s)


def _superseded(s: Situation) -> Failure | None:
    if s.canary.revision == s.target.revision:
        return None
    # A rollback that was asked for wants another revision than the spec.
    record = s.target.record
    if (record.spec_hash if record else s.target.spec_hash) != s.canary.spec_hash:
        return Failure(reason=SUPERSEDED, message="the spec asks for another version", blocks=False)
    if record and (record.uri, record.digest) != (s.canary.uri, s.canary.digest):
        return Failure(reason=SUPERSEDED, message=f"{record.reference} stands for {record.uri} now", blocks=False)
    return None


def _broken(s: Situation) -> Failure | None:
    problem = s.canary_pods.problem
    return Failure(reason=problem.reason, message=problem.message) if problem and problem.permanent else None


def _too_slow(s: Situation) -> Failure | None:
    deadline, waiting_since = s.resource.spec.rollout.ready_deadline, s.rollout.waiting_since
    # Without a stable version there is nothing to protect: the first version may take as long as it needs.
    if s.status.stable is None or waiting_since is None:
        return None
    if seconds_since(waiting_since, s.now) < seconds(deadline):
        return None
    problem = s.canary_pods.problem
    why = f": {problem.message}" if problem else ""
    message = f"{s.canary_pods.available} pods were ready within readyDeadline {deadline}{why}"
    return Failure(reason=problem.reason if problem else "NotReadyInTime", message=message)


def _judged_bad(s: Situation) -> Failure | None:
    rules, counts = s.resource.spec.rollout.analysis, s.rollout.analysis
    if rules is None or s.rollout.full:
        return None
    if counts.failed > rules.failure_limit:
        last = counts.measurements[-1].message if counts.measurements else ""
        return Failure(reason="AnalysisFailed", message=f"{counts.failed} measurements failed, the last: {last}")
    return undecided(s) if rules.on_inconclusive is OnInconclusive.rollback else None
