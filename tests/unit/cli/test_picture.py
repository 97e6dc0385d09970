"""What a person is shown of a ModelDeployment: pure, from objects as the API server gives them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from sluice_operator.cli import draw
from sluice_operator.cli.picture import picture
from sluice_operator.cli.rates import Rate

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
MEASUREMENT = {"time": "2026-01-01T12:00:20Z", "verdict": "Pass", "requests": 80, "message": "errorRate 0 <= 0.01"}


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "t"}


def revision(name: str, **more: Any) -> dict[str, Any]:
    return {
        "revision": name,
        "specHash": "h",
        "uri": f"https://models.example/{name}.tar.gz",
        "digest": "sha256:" + "a" * 64,
        "modelVersion": "3",
        "replicas": 2,
        "readyReplicas": 2,
        **more,
    }


def deployment(conditions: list[Any], **status: Any) -> dict[str, Any]:
    steps = [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "1m", "pause": True}]
    return {
        "metadata": {"name": "store-revenue", "namespace": "shop", "generation": 3},
        "spec": {
            "model": {"uri": "https://models.example/2.tar.gz"},
            "rollout": {"steps": steps, "analysis": {"failureLimit": 2, "checks": []}},
        },
        "status": {"observedGeneration": 3, "conditions": conditions, "stable": revision("aaaa"), **status},
    }


def pod(name: str, revision: str, ready: bool = True, **state: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"sluice.dev/revision": revision},
            "creationTimestamp": "2026-01-01T11:00:00Z",
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": 1, "state": state}],
        },
    }


def under_way(**rollout: Any) -> dict[str, Any]:
    return deployment(
        [condition("Ready", "True", "Serving"), condition("Reconciling", "True", "Stepping", "bbbb at 50 %, step 2/2")],
        canary=revision("bbbb"),
        rollout={
            "phase": "Stepping",
            "startedAt": "2026-01-01T12:00:00Z",
            "step": 1,
            "weight": 50,
            "verifiedWeight": 50,
            "holdStartedAt": "2026-01-01T12:00:15Z",
            "analysis": {"passed": 2, "failed": 1, "measurements": [MEASUREMENT]},
            **rollout,
        },
    )


def shown(found: dict[str, Any], *pods: Any, **rates: Rate) -> dict[str, Any]:
    return picture(found, pods, [], rates, NOW)


def text(seen: dict[str, Any]) -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(draw.draw(seen, NOW))
    return capture.get()


HEALTHS: tuple[tuple[str, list[Any]], ...] = (
    ("Healthy", [condition("Ready", "True", "Serving")]),
    ("Progressing", [condition("Ready", "True", "Serving"), condition("Reconciling", "True", "Stepping")]),
    ("Paused", [condition("Ready", "True", "Serving"), condition("Reconciling", "True", "Paused")]),
    ("Stalled", [condition("Ready", "True", "Serving"), condition("Stalled", "True", "AnalysisFailed")]),
    ("NotReady", [condition("Ready", "False", "NoPodAvailable")]),
    ("Unknown", []),
)


@pytest.mark.parametrize(("health", "conditions"), HEALTHS, ids=[row[0] for row in HEALTHS])
def test_health_in_a_word(health: str, conditions: list[Any]) -> None:
    assert shown(deployment(conditions))["health"] == health
    assert health in text(shown(deployment(conditions)))


def test_what_an_alias_stands_for_and_how_the_last_look_went() -> None:
    found = deployment([condition("Ready", "True", "Serving")])
    assert shown(found)["reference"] is None
    found["spec"]["model"]["uri"] = "models:/m@champion"
    found["status"] |= {
        "resolved": {
            "specHash": "h",
            "uri": "models:/m/3",
            "reference": "models:/m@champion",
            "digest": "sha256:" + "a" * 64,
            "version": "2.1",
            "at": "2026-01-01T11:00:00.000000Z",
        },
        "poll": {"specHash": "h", "startedAt": "2026-01-01T11:59:00.000000Z"},
    }
    assert "models:/m/3, version 2.1; looked at" in text(shown(found))
    found["status"]["poll"] |= {"failures": 2, "reason": "SourceUnreachable", "message": "no route"}
    assert "the last look failed: no route" in text(shown(found))


def test_a_spec_that_the_operator_has_not_seen_is_never_shown_as_healthy() -> None:
    found = deployment([condition("Ready", "True", "Serving")])
    found["metadata"]["generation"] = 4
    assert shown(found)["health"] == "Unknown"


def test_what_was_compared_on_copies() -> None:
    assert shown(under_way())["comparison"] is None
    outputs = [{"name": "revenue", "different": 3, "largestDifference": 0.5}]
    compared = {"pairs": 400, "different": 3, "errors": 0, "outputs": outputs, "at": "2026-01-01T12:00:00Z"}
    seen = shown(under_way(comparison=compared))
    assert seen["comparison"] == {**compared, "message": "3 of 400 answers differ (0.8 %): revenue in 3 by up to 0.5"}
    assert f"Copies    {seen['comparison']['message']}" in text(seen)


def test_steps_weights_revisions_pods_and_what_they_answer() -> None:
    seen = shown(
        under_way(),
        pod("b-1", "bbbb"),
        pod("b-2", "bbbb", ready=False, waiting={"reason": "CrashLoopBackOff"}),
        pod("a-1", "aaaa"),
        bbbb=Rate(12.5, 0.02, 0.004, 0.0315),
    )
    assert [(step["weight"], step["state"]) for step in seen["steps"]] == [(10, "done"), (50, "now"), (100, "next")]
    assert [(row["revision"], row["role"], row["weight"]) for row in seen["revisions"]] == [
        ("bbbb", "canary", 50),
        ("aaaa", "stable", 50),
    ]
    told = text(seen)
    for part in ("✔ 10 %", "▶ 50 % 15s of 1m", "50 % verified", "12.5", "2.0 %", "31.5 ms", "CrashLoopBackOff"):
        assert part in told, f"{part!r} not in\n{told}"
    assert "2 passed, 1 failed (limit 2)" in told
    assert "errorRate 0 <= 0.01" in told
    assert told.count("└") == 3


def test_a_weight_that_the_routers_do_not_show_yet_is_told_as_wanted() -> None:
    assert "10 % verified on every router (wanted: 50 %)" in text(shown(under_way(verifiedWeight=10)))


def test_a_pause_says_whom_it_waits_for() -> None:
    pause = {"cause": "Request", "since": "2026-01-01T12:00:20Z", "by": "ann"}
    assert "for a person: paused by ann, since 12:00:20" in text(shown(under_way(pause=pause)))


def test_the_last_request_and_events_are_shown() -> None:
    answer = {"id": "1", "action": "abort", "outcome": "Refused", "message": "no rollout", "at": "2026-01-01T12:00:01Z"}
    found = deployment([condition("Ready", "True", "Serving")], requests=[{**answer, "by": "ann"}])
    event = {"type": "Warning", "reason": "AnalysisFailed", "note": "3 failed", "eventTime": "2026-01-01T11:59:00Z"}
    told = text(picture(found, [], [event], {}, NOW))
    assert "abort by ann: Refused, no rollout" in told
    assert "11:59:00 AnalysisFailed: 3 failed" in told


def test_text_from_the_cluster_is_never_taken_for_markup() -> None:
    found = deployment([condition("Ready", "True", "Serving")])
    answer = {
        "id": "1",
        "action": "[bold]x",
        "outcome": "Done",
        "message": "[/red] [1, 2]",
        "at": "2026-01-01T12:00:01Z",
    }
    found["status"]["requests"] = [answer]
    found["status"]["stable"]["modelVersion"] = "[red]"
    told = text(shown(found, pod("[x]", "aaaa")))
    assert "[/red] [1, 2]" in told
    assert "[red]" in told


def test_a_line_of_a_log_changes_with_the_rollout_and_not_with_time() -> None:
    first = draw.line(shown(under_way()))
    assert "Progressing" in first
    assert "weight=50%" in first
    assert "step 2/2" in first
    assert (
        draw.line(picture(under_way(), [], [], {"bbbb": Rate(5.0)}, datetime(2026, 1, 1, 12, 1, tzinfo=UTC))) == first
    )
    assert draw.line(shown(under_way(verifiedWeight=10))) != first


@pytest.mark.parametrize(("seconds", "told"), [(5, "5s"), (60, "1m"), (75, "1m15s"), (3700, "1h1m"), (90000, "1d1h")])
def test_spans(seconds: float, told: str) -> None:
    assert draw.span(seconds) == told


def test_history_as_a_table() -> None:
    entry = {
        "revision": "aaaa",
        "specHash": "h",
        "uri": "https://models.example/1.tar.gz",
        "digest": "sha256:" + "a" * 64,
        "outcome": "Promoted",
        "startedAt": "2026-01-01T11:00:00Z",
        "finishedAt": "2026-01-01T11:02:05Z",
        "modelVersion": "1",
        "requestedBy": "argocd-controller",
    }
    console = Console(width=200, color_system=None)
    found = deployment([], history=[entry, {**entry, "revision": "bbbb", "outcome": "RolledBack", "reason": "Aborted"}])
    with console.capture() as capture:
        console.print(draw.draw_history(shown(found)["history"]))
    told = capture.get()
    for part in ("aaaa *", "Promoted", "2m5s", "argocd-controller", "bbbb", "Aborted"):
        assert part in told


def lines(found: dict[str, Any]) -> list[str]:
    """What is drawn, without the spaces around and the names of rows before it."""
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(draw.draw(shown(found), NOW))
    return [line.strip() for line in capture.get().splitlines()]


AT_REST = [condition("Ready", "True", "Serving")]


def test_the_card_of_what_serves_is_shown() -> None:
    card = {"description": "Weekly revenue of a store.", "owner": "pricing", "metrics": "r2=0.91, mae=12.5"}
    found = deployment(AT_REST)
    found["status"]["stable"]["card"] = card
    assert {"owner: pricing", "metrics: r2=0.91, mae=12.5"} <= set(lines(found))
    assert any(line.endswith("Weekly revenue of a store.") for line in lines(found))


BEFORE, AFTER = "2026-01-01T04:30:10Z", "2026-01-02T04:30:10Z"
FILLED: dict[str, tuple[dict[str, str], str]] = {
    "good": ({"lastSuccess": AFTER, "lastFailure": BEFORE, "message": "rows below 0"}, "written 2026-01-02 04:30"),
    "failed": (
        {"lastSuccess": BEFORE, "lastFailure": AFTER, "message": "rows below 0"},
        "written 2026-01-01 04:30; the run of 2026-01-02 04:30 failed: rows below 0",
    ),
    "due": ({"lastScheduled": BEFORE}, "no run has written everything yet"),
}


@pytest.mark.parametrize(("features", "expected"), FILLED.values(), ids=FILLED)
def test_how_the_feature_store_is_filled_is_shown(features: dict[str, str], expected: str) -> None:
    (line,) = (line for line in lines(deployment(AT_REST, features=features)) if line.startswith("Features"))
    assert line.removeprefix("Features").strip() == expected


def test_of_a_store_that_others_fill_nothing_is_shown() -> None:
    assert not any(line.startswith("Features") for line in lines(deployment(AT_REST)))
