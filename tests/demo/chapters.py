"""The chapters of the story: what is done to the ModelDeployment, and what status must say in the end."""

from __future__ import annotations

from demo.stage import NAME, Stage
from support import operators
from support.deployments import KIND, until_promoted, until_stalled
from support.kube import Object, condition
from support.load import Request

AFTER_PROMOTION = 2_000
ENOUGH = 20_000
QUIET = ("v2", "v4", "v5", "more")
"""Chapters in which no request at all may fail."""


def roll_out(stage: Stage, version: str) -> None:
    """A good version walks through the steps and is promoted, without a restart of its pods."""
    with stage.chapter(version, f"{version}: a good version walks 10 -> 50 -> 100 and is promoted") as chapter:
        stage.apply(version)
        stepping = stage.kube.until(KIND, NAME, lambda found: verified_weight(found) == 10)
        before = pods_of(stage, stepping["status"]["canary"]["revision"])
        found = until_promoted(stage.kube, NAME)
        after = pods_of(stage, found["status"]["stable"]["revision"])
        chapter.facts |= conclusion(found) | {"pods kept by promotion": before.items() <= after.items()}
        stage.load.wait_for(AFTER_PROMOTION, since=len(stage.load.snapshot()))


def refuse(stage: Stage, version: str) -> None:
    """A package that is not the one it is said to be never gets traffic."""
    with stage.chapter(version, f"{version}: another package than its digest says is refused") as chapter:
        stage.apply(version)
        chapter.facts |= conclusion(until_stalled(stage.kube, NAME))


def take_back(stage: Stage, version: str) -> None:
    """A version that fails on a fifth of its requests is taken back by analysis."""
    with stage.chapter(version, f"{version}: fails on a fifth of its requests and is taken back") as chapter:
        stage.apply(version)
        found = until_stalled(stage.kube, NAME)
        chapter.facts |= conclusion(found) | {"revision": found["status"]["blocked"]["revision"]}


def kill_operator_meanwhile(stage: Stage, version: str) -> None:
    """The operator dies in the middle of a rollout; the one that comes after it goes on."""
    with stage.chapter(version, f"{version}: the operator is killed in the middle of a rollout") as chapter:
        stage.apply(version)
        stepping = stage.kube.until(KIND, NAME, lambda found: verified_weight(found) == 10)
        killed = kill_operator(stage)
        found = until_promoted(stage.kube, NAME)
        chapter.facts |= conclusion(found) | {
            "killed at weight": verified_weight(stepping),
            "operator replaced": killed != operators.leader(stage.cluster.system),
        }
        stage.load.wait_for(AFTER_PROMOTION, since=len(stage.load.snapshot()))


def reach_enough_requests(stage: Stage) -> None:
    """Go on until the chapters in which nothing may fail have enough requests for the claim."""
    with stage.chapter("more", "more load on what serves now"):
        missing = ENOUGH - len(quiet_requests(stage, stage.load.snapshot()))
        stage.load.wait_for(max(0, missing), since=len(stage.load.snapshot()))


def quiet_requests(stage: Stage, everything: list[Request]) -> list[Request]:
    """Requests of the chapters in which nothing may fail."""
    chapters = [stage.chapters[key] for key in QUIET if key in stage.chapters]
    return [request for chapter in chapters for request in chapter.requests(everything)]


def kill_operator(stage: Stage) -> str:
    """Kill the pod of the operator that acts without any grace and return its name."""
    name = operators.leader(stage.cluster.system)
    stage.console.print(f"killing {name}")
    stage.cluster.system.run("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    return name


def verified_weight(found: Object) -> int:
    """Percent that every router is seen to give the canary."""
    return int(found.get("status", {}).get("rollout", {}).get("verifiedWeight", 0))


def pods_of(stage: Stage, revision: str) -> dict[str, int]:
    """Restarts of a revision's containers, by pod uid."""
    pods = stage.kube.select("pod", f"sluice.dev/revision={revision}")
    return {pod["metadata"]["uid"]: restarts(pod) for pod in pods}


def restarts(pod: Object) -> int:
    return sum(container["restartCount"] for container in pod["status"].get("containerStatuses", []))


def conclusion(found: Object) -> dict[str, str]:
    """What status says in the end."""
    shown = ("Ready", "Promoted", "Stalled")
    conditions = {kind: str(condition(found, kind).get("status", "missing")) for kind in shown}
    blocked = found["status"].get("blocked", {})
    return {**conditions, "reason": found["status"].get("reason", ""), "message": blocked.get("message", "")}
