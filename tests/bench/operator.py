"""What the operator costs, how fast a decision reaches the routers, and what an outage of the control plane costs.

Runs on the local cluster, because it stops and pauses its components. Everything is measured under a steady load whose
every request is accounted for.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from localcluster import control
from support import operators
from support.cluster import Cluster, SetupError, reserved_cluster
from support.deployments import model_deployment, until_promoted
from support.history import History
from support.kube import Kube
from support.load import Load, failures
from support.memory import processes, rss_mib
from support.packages import Built, build, train
from support.report import Report
from support.store import Store, run_store
from support.writes import writes_during

NAMESPACE = "sluice-bench"
FOREIGN = "sluice-bench-foreign"
NAME = "m"
RATE = 200.0
REST_SECONDS = 60.0
API_AWAY_SECONDS = 30.0
OPERATOR_AWAY_SECONDS = 60.0
FOREIGN_PODS = 5000
PODS_A_CALL = 250
VERSIONS = 6
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
WALK = [{"weight": weight, "hold": "0s"} for weight in range(5, 100, 5)]
"""With the final 100: twenty weights in one rollout."""

SPEC: dict[str, Any] = {
    "runtime": {"resources": {"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}}},
    "scaling": {"minReplicas": 2},
    "rollout": {"readyDeadline": "3m", "drainDelay": "3s"},
}


@dataclass
class Bench:
    """What the measurements work on. `version` counts, so that each one that needs a new version has one."""

    cluster: Cluster
    kube: Kube
    store: Store
    load: Load
    history: History
    report: Report
    console: Console
    version: int = 1

    def roll_out_next(self, **rollout: Any) -> None:
        """Apply a version that was never stable and wait until it is promoted."""
        self.version += 1
        spec = {**SPEC, "rollout": {**SPEC["rollout"], **rollout}}
        self.kube.apply(model_deployment(NAME, self.store.uri(file_name(self.version)), **spec))
        until_promoted(self.kube, NAME)


def main(words: Sequence[str] | None = None) -> int:
    """Measure everything; 0 when every claim holds."""
    console = Console()
    report = Report("bench/operator.json")
    with reserved_cluster() as cluster, open_bench(cluster, report, console) as bench:
        for measure in (at_rest, walk, foreign_pods, api_server_away, operator_away, control_plane_restarted):
            console.rule(measure.__name__.replace("_", " "))
            measure(bench)
        everything = bench.load.stop()
        report.equal("failed requests in the whole run", 0, len(failures(everything)))
        report.details["requests"] = len(everything)
    return report.conclude(console)


@contextmanager
def open_bench(cluster: Cluster, report: Report, console: Console) -> Iterator[Bench]:
    """Serve version 1 and put load on it."""
    if not cluster.local:
        raise SetupError("this benchmark stops components of its cluster, so it only runs on the local one")
    kube = cluster.kube.within(NAMESPACE)
    for namespace in (NAMESPACE, FOREIGN):
        kube.delete("namespace", namespace)
    kube.create_namespace()
    store = run_store(kube, cluster.images["runtime"], {file_name(n): one.archive for n, one in packages().items()})
    kube.apply(model_deployment(NAME, store.uri(file_name(1)), **SPEC))
    until_promoted(kube, NAME)
    try:
        with History(kube, NAME) as history, Load(kube, cluster.images["runtime"], NAME, RATE) as load:
            yield Bench(cluster, kube, store, load, history, report, console)
    finally:
        kube.run("delete", "namespace", NAMESPACE, FOREIGN, "--ignore-not-found", "--wait=false")


def packages() -> dict[int, Built]:
    """As many versions as there are rollouts, told apart by their regularisation."""
    with tempfile.TemporaryDirectory() as folder:
        return {n: build(train(1.0 / n), f"v{n}", Path(folder)) for n in range(1, VERSIONS + 1)}


def file_name(version: int) -> str:
    return f"v{version}.tar.gz"


def at_rest(bench: Bench) -> None:
    """A resource at rest causes no write."""
    written = writes_during(bench.cluster, bench.kube, f"sluice.dev/deployment={NAME}", REST_SECONDS)
    bench.report.equal(f"writes to the API in {REST_SECONDS:.0f} s at rest", {}, written)
    bench.report.at_most("operator's resident memory at rest", 150.0, operator_rss(bench.cluster), "MiB")


def walk(bench: Bench) -> None:
    """From a decided weight to every router: twenty of them."""
    bench.roll_out_next(steps=WALK)
    times = [period.seconds_to_verify for period in bench.history.periods() if period.seconds_to_verify is not None]
    bench.report.at_least("weights decided and verified", len(WALK) + 1, len(times))
    bench.report.at_most("weight decided -> verified on every router, median", 2.0, statistics.median(times), "s")
    bench.report.details["seconds to verify"] = {"max": max(times), "median": statistics.median(times)}


def foreign_pods(bench: Bench) -> None:
    """The operator's memory does not depend on pods that are not its own."""
    kube = bench.cluster.kube.within(FOREIGN)
    kube.create_namespace()
    numbers = range(0, FOREIGN_PODS, PODS_A_CALL)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda first: create_foreign(kube, first), numbers))
    bench.roll_out_next()
    bench.report.at_most(
        f"operator's resident memory beside {FOREIGN_PODS} foreign pods", 150.0, operator_rss(bench.cluster), "MiB"
    )
    kube.run("delete", "namespace", FOREIGN, "--wait=false")


def create_foreign(kube: Kube, first: int) -> None:
    """Pods of somebody else, which no scheduler will ever place."""
    items = [foreign_pod(f"foreign-{number}") for number in range(first, first + PODS_A_CALL)]
    kube.apply(*items)


def foreign_pod(name: str) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "nothing.invalid/never:pulled",
        "env": [{"name": "PADDING", "value": "x" * 1024}],
    }
    spec = {"schedulerName": "nobody", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "foreign"}}, "spec": spec}


def api_server_away(bench: Bench) -> None:
    """Predictions go on while the API server does not answer, reconciling resumes when it does."""

    def outage() -> None:
        control.pause("kube-apiserver")
        try:
            time.sleep(API_AWAY_SECONDS)
        finally:
            control.resume("kube-apiserver")

    survive(bench, f"API server away for {API_AWAY_SECONDS:.0f} s", outage)


def operator_away(bench: Bench) -> None:
    """Predictions go on without the operator."""
    system = bench.cluster.system

    def outage() -> None:
        operators.scale(system, 0)
        time.sleep(OPERATOR_AWAY_SECONDS)
        operators.scale(system)
        system.run("rollout", "status", "deployment/sluice", "--timeout=120s", timeout=150.0)

    survive(bench, f"operator away for {OPERATOR_AWAY_SECONDS:.0f} s", outage)


def control_plane_restarted(bench: Bench) -> None:
    """Predictions go on while the whole control plane restarts."""

    def outage() -> None:
        for component in CONTROL_PLANE:
            control.restart(component)

    survive(bench, "control plane restarted", outage)


def survive(bench: Bench, what: str, outage: Callable[[], None]) -> None:
    """Claim that no request fails during an outage, and that a new version is rolled out after it."""
    first = len(bench.load.snapshot())
    began = time.monotonic()
    outage()
    over = time.monotonic()
    bench.roll_out_next()
    bench.load.wait_for(int(RATE * (over - began) * 0.9), since=first, timeout=300.0)
    made = bench.load.snapshot()[first:]
    bench.report.equal(f"{what}: failed of {len(made)} requests", 0, len(failures(made)))
    bench.report.details[what] = {"seconds": over - began, "seconds to the next promotion": time.monotonic() - over}


def operator_rss(cluster: Cluster) -> float:
    """Resident memory of the operator's pod, in MiB: of the largest, leading or standing by."""
    names = [pod["metadata"]["name"] for pod in operators.running(cluster.system)]
    return max(rss_mib(processes(cluster.system, name, "operator")) for name in names)


if __name__ == "__main__":
    sys.exit(main())
