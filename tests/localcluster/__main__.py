"""The command line: `python -m localcluster COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from localcluster import addons, build, cluster, control, images, layout
from localcluster.components import COMPONENTS
from localcluster.errors import ClusterError
from localcluster.progress import say

MIB = 1024**2
Handler = Callable[[argparse.Namespace], int | None]


def main(words: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(words)
    handler: Handler = chosen.handler
    try:
        return handler(chosen) or 0
    except ClusterError as problem:
        say(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: run the same command again to go on")
        return 130


ACTIONS = {
    "pause": control.pause,
    "resume": control.resume,
    "stop": control.stop,
    "start": control.start,
    "restart": control.restart,
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="localcluster", description="A real Kubernetes without Docker.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, handler: Handler) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(handler=handler)
        return added

    starting = command("up", "bring the cluster up; do nothing if it is up", up)
    starting.add_argument("--without", action="append", default=[], choices=cluster.OPTIONAL)
    starting.add_argument("--takeover", action="store_true", help="end a cluster that another clone started")
    ending = command("down", "take the cluster and everything it left on this machine away", down)
    ending.add_argument("--any", action="store_true", help="also a cluster that another clone started")
    command("status", "show the components; exit 0 only if all are healthy", status)
    building = command("build", "build the programs that are not in the cache", build_programs)
    building.add_argument("programs", nargs="*", help=f"of {', '.join(build.PROGRAMS)} (default: all)")
    making = command("images", "build and import images; print their names as JSON", make_images)
    making.add_argument(
        "kinds", nargs="*", help=f"of {', '.join((*images.NAMES, *images.ON_DEMAND))} (default: all but tools)"
    )
    for name in ACTIONS:
        single = command(name, f"{name} one component", act)
        single.add_argument("component", choices=COMPONENTS, metavar="COMPONENT")
        single.set_defaults(action=name)
    return top


def act(chosen: argparse.Namespace) -> None:
    ACTIONS[chosen.action](chosen.component)


def up(chosen: argparse.Namespace) -> None:
    cluster.up(without=chosen.without, takeover=chosen.takeover)


def down(chosen: argparse.Namespace) -> None:
    cluster.down(any_clone=chosen.any)


def build_programs(chosen: argparse.Namespace) -> None:
    build.ensure(chosen.programs)
    build.link(chosen.programs or build.PROGRAMS)


def make_images(chosen: argparse.Namespace) -> None:
    print(json.dumps(images.ensure_images(chosen.kinds), indent=2))


def status(chosen: argparse.Namespace) -> int:
    rows = control.status()
    print(f"{'COMPONENT':<26}{'PID':>8}  {'STATE':<10}{'MEMORY':>9}")
    for row in rows:
        print(f"{row.name:<26}{row.pid or '-':>8}  {row.state:<10}{row.rss // MIB:>5} MiB")
    node = layout.KUBECONFIG.exists() and addons.node_ready()
    print(f"node {layout.NODE}: {'Ready' if node else 'not ready'}")
    return 0 if node and all(row.well for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
