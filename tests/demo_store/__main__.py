"""The flagship story as a program that checks its own claims: this file is its table of contents."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from demo_store import chapters, verdicts
from demo_store.stage import APP, URL, Stage, open_stage
from demo_store.steady import steady_load
from demo_store.training import Trained
from localcluster.errors import ClusterError
from support.cluster import IMAGE_KINDS, Cluster, SetupError, reserved_cluster
from support.kube import KubectlError
from support.report import Report


def main(words: Sequence[str] | None = None) -> int:
    top = argparse.ArgumentParser(prog="demo_store", description="From a warehouse to an app that asks about store 42.")
    top.add_argument("--keep", action="store_true", help="leave the demo's namespace for a look around")
    chosen = top.parse_args(words)
    console = Console()
    try:
        return run(console, keep=chosen.keep)
    except (ClusterError, SetupError, KubectlError, AssertionError) as problem:
        console.print("[bold red]error:[/]", Text(str(problem)))
        return 1


def run(console: Console, keep: bool) -> int:
    """Set up, tell the story, judge it."""
    console.rule("Set-up")
    console.print("bringing up the cluster, the chart, PostgreSQL, Feast and MLflow; 400 stores into the warehouse")
    with reserved_cluster(kinds=(*IMAGE_KINDS, "tools")) as cluster:
        if not cluster.local:
            raise SetupError("pods of another cluster may not reach this machine: leave IMAGE_PREFIX unset")
        return perform(cluster, console, keep)


def perform(cluster: Cluster, console: Console, keep: bool) -> int:
    """The story on a cluster that is ready."""
    with open_stage(cluster, console, keep=keep) as stage:
        report = Report("demo-store-report.json")
        tell(stage, report)
        console.print(f"from trained to serving: {times(stage)}")
    return report.conclude(console)


def times(stage: Stage) -> str:
    """How long it takes until what was learned is answered."""
    first, second = stage.facts["serve"], stage.facts["replace"]
    return (
        f"{first['trained -> answered']} s the first time; the second version's first answer after "
        f"{second['trained -> first answer']} s, all of them after {second['trained -> all traffic']} s"
    )


def tell(stage: Stage, report: Report) -> None:
    """The chapters, in their order."""
    chapters.fill(stage)
    chapters.refuse_bad_batch(stage)
    first = chapters.train_first(stage)
    chapters.serve(stage, first)
    chapters.ask_all(stage, "ask v1", first)
    chapters.permit(stage)
    chapters.renovate(stage, first)
    chapters.refuse_bad_run(stage)
    with steady_load(stage.kube, stage.cluster.images["runtime"], URL, APP) as load:
        second = chapters.replace(stage, load)
        chapters.ask_all(stage, "ask v2", second)
        chapters.lose_store(stage)
        versions: dict[str, Trained] = {"v1": first, "v2": second}
        verdicts.judge(stage, load.answers(), versions, report)


if __name__ == "__main__":
    sys.exit(main())
