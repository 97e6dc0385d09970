"""What has to be asked outside of the cluster now: a pure function of the resource and the time.

Whoever asks (`cluster.outside`) needs no memory of the rollout, and an operator that dies in between asks again.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from string import Template
from typing import Any

from sluice_operator.api.analysis import Analysis, Webhook
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import GateStatus, Phase, RevisionStatus
from sluice_operator.planning.situation import HELD, seconds_to_measurement, window_is_open

QUERY_SECONDS = 10
GATE_SECONDS = 10.0
"""Between two questions of a gate that has not said yes."""


@dataclass(frozen=True)
class Question:
    """One question. `id` names it within the resource; another `moment` makes it another question.

    `again`: seconds after an answer in which it is asked anew, None for never.
    """

    id: str
    moment: str
    url: str
    timeout: float
    query: str = ""
    """PromQL; empty for a webhook."""
    secret: str | None = None
    """Name of the Secret with the bearer token."""
    body: str = ""
    """JSON for a webhook."""
    again: float | None = None


def check_id(name: str) -> str:
    """The question of a check."""
    return f"check/{name}"


def gate_id(name: str) -> str:
    """The question of a gate."""
    return f"gate/{name}"


def due(resource: ModelDeployment, now: datetime) -> tuple[Question, ...]:
    """Every question whose answer the next decision may need."""
    rollout = resource.status.rollout
    if rollout is None or rollout.phase is Phase.rolling_back:
        return ()
    return (*_checks(resource, now), *_gates(resource))


def needed(rules: Analysis) -> list[str]:
    """Ids of the questions that a measurement rests on."""
    return [check_id(check.shown_name) for check in rules.checks if check.metric is None]


def _checks(resource: ModelDeployment, now: datetime) -> Iterable[Question]:
    rules, rollout = resource.spec.rollout.analysis, resource.status.rollout
    if rules is None or rollout is None or rollout.phase not in HELD or not window_is_open(resource):
        return
    if seconds_to_measurement(resource, now) > 0:
        return
    moment = f"{rollout.analysis.window_since} {rollout.analysis.last_measured_at}"
    server = rules.prometheus
    for check in rules.checks:
        if check.prometheus:
            yield Question(
                check_id(check.shown_name),
                moment,
                server.url if server else "",
                QUERY_SECONDS,
                query=_filled_in(check.prometheus.query, resource, rules),
                secret=server.secret_ref.name if server and server.secret_ref else None,
            )
        elif check.webhook:
            body = _described(resource, check=check.shown_name)
            name = check_id(check.shown_name)
            yield Question(name, moment, check.webhook.url, seconds(check.webhook.timeout), body=body)


def _filled_in(query: str, resource: ModelDeployment, rules: Analysis) -> str:
    """The query with its variables; any other `$`, as in a regular expression, stays."""
    live = {"canary": resource.status.canary, "stable": resource.status.stable}
    return Template(query).safe_substitute(
        namespace=resource.namespace,
        name=resource.name,
        interval=f"{max(1, round(1000 * seconds(rules.interval)))}ms",
        **{role: revision.revision if revision else "" for role, revision in live.items()},
    )


def _gates(resource: ModelDeployment) -> Iterable[Question]:
    """Gates that status says are waited for."""
    rollout = resource.status.rollout
    waiting = {gate.name: gate for gate in rollout.gates if gate.answer != "Confirmed"} if rollout else {}
    for webhook in resource.spec.rollout.webhooks:
        if gate := waiting.get(webhook.name):
            yield _gate(resource, webhook, gate)


def _gate(resource: ModelDeployment, webhook: Webhook, gate: GateStatus) -> Question:
    return Question(
        gate_id(webhook.name),
        gate.since,
        webhook.url,
        seconds(webhook.timeout),
        body=_described(resource, gate=webhook.gate.value, webhook=webhook.name),
        again=GATE_SECONDS,
    )


def _described(resource: ModelDeployment, **asked: str) -> str:
    """What is known, for a service that is to decide."""
    rollout = resource.status.rollout
    judged = rollout.analysis.to_json() if rollout else {}
    measurements = judged.pop("measurements", [])
    return json.dumps(
        {
            **asked,
            "namespace": resource.namespace,
            "name": resource.name,
            "canary": _revision(resource.status.canary),
            "stable": _revision(resource.status.stable),
            "step": resource.status.step,
            "weight": rollout.weight if rollout else 0,
            "comparison": rollout.comparison.to_json() if rollout and rollout.comparison else None,
            "analysis": {**judged, "last": measurements[-1] if measurements else None},
        }
    )


def _revision(live: RevisionStatus | None) -> dict[str, Any] | None:
    return {"revision": live.revision, "uri": live.uri, "digest": live.digest} if live else None
