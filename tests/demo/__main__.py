"""The main job as a story that checks its own claims: this file is its table of contents."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from demo import chapters, verdicts
from demo.models import train_versions
from demo.stage import Stage, open_stage
from localcluster.errors import ClusterError
from support.cluster import SetupError, reserved_cluster
from support.kube import DeadlineError, KubectlError
from support.load import LostRecordsError
from support.report import Report

TRIES = 5


def main(words: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(words)
    console = Console()
    try:
        return run(console, live=console.is_terminal and not chosen.no_live, keep=chosen.keep)
    except (ClusterError, SetupError, KubectlError, DeadlineError, LostRecordsError) as problem:
        console.print("[bold red]error:[/]", Text(str(problem)))
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="demo", description="Roll a model out through a canary on a real Kubernetes.")
    top.add_argument("--no-live", action="store_true", help="plain lines instead of a live table")
    top.add_argument("--keep", action="store_true", help="leave the demo's namespace for a look around")
    return top


def run(console: Console, live: bool, keep: bool) -> int:
    """Set up, tell the story under load, judge it."""
    console.rule("Set-up")
    console.print("training on the breast cancer data set (569 rows, 30 features), exporting to ONNX, packaging")
    versions = train_versions(TRIES)
    console.print("bringing the cluster up and installing the chart")
    with reserved_cluster() as cluster, open_stage(cluster, versions, console, live=live, keep=keep) as stage:
        tell(stage)
        report = Report("demo-report.json")
        verdicts.judge(stage, report)
    return report.conclude(console)


def tell(stage: Stage) -> None:
    """The chapters, all under the same steady load."""
    chapters.roll_out(stage, "v2")
    chapters.refuse(stage, "v4")
    for number in range(1, TRIES + 1):
        chapters.take_back(stage, f"v3-{number}")
    chapters.kill_operator_meanwhile(stage, "v5")
    chapters.reach_enough_requests(stage)


if __name__ == "__main__":
    sys.exit(main())
