"""What the story must have shown: every claim, computed from the recorded requests and statuses alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import Any

from demo.chapters import ENOUGH, quiet_requests
from demo.models import Version
from demo.stage import NAME, Chapter, Stage
from support.history import Period
from support.kube import Kube
from support.load import Request, between, failures, wrong
from support.memory import processes, rss_mib
from support.operators import OPERATOR
from support.report import Report
from support.stats import binomial_interval, percentile

STEP_REQUESTS = 2_000
MOST_CANARY_REQUESTS = 400
MOST_SECONDS_TO_VERIFY = 2.0
MOST_MIB = {"operator": 150, "model": 160, "router": 80}
WALKED = ("v2", "v5")
CONTAINERS = {"model": "runtime", "router": "envoy"}


def judge(stage: Stage, report: Report) -> None:
    """Add every claim and the details to the report. Memory is read while the load still runs."""
    judge_memory(stage, report)
    requests = stage.load.stop()
    judge_traffic(stage, requests, report)
    judge_steps(stage, requests, report)
    judge_failing(stage, requests, report)
    judge_status(stage, requests, report)
    judge_verification(stage.history.periods(), report)
    report.details["chapters"] = [details(chapter, requests) for chapter in stage.chapters.values()]
    report.details["weights"] = [asdict(period) for period in stage.history.periods()]


def judge_traffic(stage: Stage, requests: list[Request], report: Report) -> None:
    """No request fails where none may, and every answer is the right one."""
    quiet = quiet_requests(stage, requests)
    report.at_least("requests through v1 -> v2, the refusal of v4 and the killed operator", ENOUGH, len(quiet))
    report.equal("failed requests among them", 0, len(failures(quiet)))
    expected = {revision: version.expected() for revision, version in versions_by_revision(stage).items()}
    differing = wrong(requests, expected)
    report.equal(f"answers of {len(requests)} that differ from in-process ONNX Runtime", 0, len(differing))
    report.details["failures where none may be"] = Counter(map(describe, failures(quiet)))
    report.details["differing answers"] = [request._asdict() for request in differing[:10]]


def judge_steps(stage: Stage, requests: list[Request], report: Report) -> None:
    """Each verified weight is what the requests saw, as exactly as chance allows."""
    end = max(request.end for request in requests)
    for version in WALKED:
        revision = revision_of(stage, version)
        for period in stage.history.periods():
            if period.canary == revision and period.weight > 0 and period.verified is not None:
                judge_split(f"{version} at {period.weight} %", period, between_period(requests, period, end), report)


def between_period(requests: list[Request], period: Period, end: float) -> list[Request]:
    """Requests made while a weight was verified and nothing else was decided."""
    return between(requests, period.verified or end, period.until or end)


def judge_split(what: str, period: Period, requests: list[Request], report: Report) -> None:
    canary = sum(request.revision == period.canary for request in requests)
    low, high = binomial_interval(len(requests), period.weight / 100)
    report.at_least(f"{what}: requests", STEP_REQUESTS, len(requests))
    report.within(f"{what}: of {len(requests)} requests, those answered by it (99.9 % interval)", low, high, canary)


def judge_failing(stage: Stage, requests: list[Request], report: Report) -> None:
    """The failing version harms nobody but the few who meet it, and not for long."""
    tries = {name: revision_of(stage, name) for name in stage.versions if name.startswith("v3")}
    revisions = set(tries.values())
    during = [request for name in tries for request in stage.chapters[name].requests(requests)]
    others = [request for request in failures(during) if request.revision not in revisions]
    report.equal("failed requests in the v3 chapters that v3 did not answer", 0, len(others))
    met = {name: sum(request.revision == revision for request in requests) for name, revision in tries.items()}
    report.at_most(
        f"canary requests until v3 is taken back, median of {len(tries)}", MOST_CANARY_REQUESTS, median(met.values())
    )
    report.equal(
        "requests that v3 failed though its graph computes that row",
        0,
        sum(not uncomputable(stage, request) for request in failures(during) if request.revision in revisions),
    )
    report.details["canary requests of v3"] = met
    report.details["failures not of v3"] = Counter(map(describe, others))


def uncomputable(stage: Stage, request: Request) -> bool:
    fails_on = versions_by_revision(stage)[request.revision].fails_on
    return fails_on is not None and bool(fails_on[request.row])


def judge_status(stage: Stage, requests: list[Request], report: Report) -> None:
    """status says what happened."""
    facts = {key: chapter.facts for key, chapter in stage.chapters.items()}
    for version in WALKED:
        report.equal(f"{version}: condition Promoted", "True", facts[version]["Promoted"])
    report.equal("v2: its pods live through the promotion unrestarted", True, facts["v2"]["pods kept by promotion"])
    report.equal("v4: reason in status", "DigestMismatch", facts["v4"]["reason"])
    report.equal("v4: Stalled / Ready", "True / True", f"{facts['v4']['Stalled']} / {facts['v4']['Ready']}")
    refused = revision_of(stage, "v4")
    report.equal("v4: requests it answered", 0, sum(bool(refused) and one.revision == refused for one in requests))
    for name in (key for key in facts if key.startswith("v3")):
        report.equal(f"{name}: reason in status", "AnalysisFailed", facts[name]["reason"])
        report.equal(f"{name}: Stalled / Ready", "True / True", f"{facts[name]['Stalled']} / {facts[name]['Ready']}")
    report.equal("v5: operator killed at weight", 10, facts["v5"]["killed at weight"])
    report.equal("v5: another operator pod finished the rollout", True, facts["v5"]["operator replaced"])


def judge_verification(periods: list[Period], report: Report) -> None:
    """A weight takes effect soon after it is decided."""
    taken = [period.seconds_to_verify for period in periods]
    known = [seconds for seconds in taken if seconds is not None]
    report.at_least("weights decided and verified", len(WALKED) * 3, len(known))
    middle = median(known) if known else None
    report.at_most("weight decided -> verified on every router, median", MOST_SECONDS_TO_VERIFY, middle, "s")


def judge_memory(stage: Stage, report: Report) -> None:
    """Resident memory, summed over the processes of a container; the largest pod counts."""
    found: dict[str, list[dict[str, Any]]] = {"operator": look(stage.cluster.system, OPERATOR, "")}
    for component, container in CONTAINERS.items():
        selector = f"sluice.dev/deployment={NAME},app.kubernetes.io/component={component}"
        found[component] = look(stage.kube, selector, container)
    for component, pods in found.items():
        largest = max((pod["rss MiB"] for pod in pods), default=None)
        report.at_most(f"resident memory of the largest {component} pod", MOST_MIB[component], largest, "MiB")
    most = max((len(pod["processes"]) for pod in found["model"]), default=0)
    report.equal("processes in a model pod", 1, most)
    report.details["memory"] = found


def look(kube: Kube, selector: str, container: str) -> list[dict[str, Any]]:
    names = [pod["metadata"]["name"] for pod in kube.select("pod", selector, "status.phase=Running")]
    found = {name: processes(kube, name, container) for name in names}
    return [
        {"pod": name, "rss MiB": round(rss_mib(running), 1), "processes": [process.name for process in running]}
        for name, running in found.items()
    ]


def versions_by_revision(stage: Stage) -> dict[str, Version]:
    """Which version of the story each revision is, by the URI that status names."""
    by_uri = {stage.store.uri(version.file): version for version in stage.versions.values()}
    return {revision: by_uri[uri] for revision, uri in stage.history.uris().items()}


def revision_of(stage: Stage, name: str) -> str:
    """The revision of a version; empty if status never named one."""
    wanted = stage.versions[name]
    return next((revision for revision, version in versions_by_revision(stage).items() if version is wanted), "")


def describe(request: Request) -> str:
    return f"{request.status} from {request.revision or 'nobody'}: {request.error}"


def details(chapter: Chapter, requests: list[Request]) -> dict[str, Any]:
    """Numbers of a chapter, by revision."""
    own = chapter.requests(requests)
    by_revision = {
        revision: [one for one in own if one.revision == revision] for revision in {one.revision for one in own}
    }
    return {
        "chapter": chapter.title,
        **chapter.facts,
        "requests": len(own),
        "failures": len(failures(own)),
        "revisions": {
            revision: {
                "requests": len(answered),
                "failures": len(failures(answered)),
                "p50 ms": round(1000 * percentile([one.latency for one in answered], 50), 2),
                "p99 ms": round(1000 * percentile([one.latency for one in answered], 99), 2),
            }
            for revision, answered in by_revision.items()
        },
    }
