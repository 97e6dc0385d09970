"""What permission costs a caller on its way through the router, and what a flood of wrong tokens costs the others.

Routers with and without a check stand before the same runtime in the same run and take turns. The authorizer, the API
server and the tokens are real.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.serving.cores import Cores, choose
from bench.serving.errors import BenchError
from bench.serving.load import ensure_wrk
from controlplane import apiserver
from controlplane.authorizer.conftest import shop_of
from controlplane.authorizer.process import Authorizer, authorizer, until
from localcluster.progress import say
from router.harness import ENVOY, V1
from router.issuer import ISSUER, Issuer
from router.judge import guarded
from runtime.harness import config_for, package_of, serving
from runtime.models import trained
from runtime.raw import BODY, PATH
from sluice_operator.routing import envoy_config
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_layout import Layout
from support.ports import free_port
from support.process import pin
from support.report import Report

SCRIPT = Path(__file__).with_suffix(".lua")
NONE, KUBERNETES, JWT = "none", "Kubernetes", "JWT"
ADDED_MS, SHARE, SLOWER = 0.5, 0.85, 1.10
ALONE, MANY = 1, 16
CALM_CONNECTIONS, CALM_PAUSE_MS = 4, 5
FLOOD_CONNECTIONS, FLOOD_PAUSE_MS = 8, 20
"""Valid callers ask a few hundred times a second, and as many wrong tokens come beside them: no core is busy all the
time, since then any work would slow all other work down, whatever it is."""


@dataclass(frozen=True)
class Door:
    """A router, and the token with which it lets in."""

    port: int
    token: str


@dataclass(frozen=True)
class Seen:
    """Answers a second, milliseconds, and answers that were refusals."""

    rate: float
    p50: float
    p99: float
    refused: int


@dataclass
class Floods:
    """Rounds in which right tokens came alone and beside others, and the questions to the API server in the flooded."""

    renewals: float
    calm: list[Seen] = field(default_factory=list)
    beside_health: list[Seen] = field(default_factory=list)
    flooded: list[Seen] = field(default_factory=list)
    wrong: list[Seen] = field(default_factory=list)
    questions: list[float] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.access", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    chosen = parser.parse_args(words)
    ensure_wrk()
    report = Report("bench/access.json")
    with tempfile.TemporaryDirectory() as scratch, stage(Path(scratch)) as (doors, judge):
        cost(report, doors, chosen.rounds, chosen.seconds)
        for mode in (KUBERNETES, JWT):
            flood(report, mode, flooded(doors[mode], judge, chosen.rounds, chosen.seconds))
    report.details["loads"] = os.getloadavg()
    return report.conclude(Console())


@contextmanager
def stage(folder: Path) -> Iterator[tuple[dict[str, Door], Authorizer]]:
    """A runtime, an API server, an authorizer, and a router for each mode."""
    cores, issuer = choose(), Issuer()
    with ExitStack() as stack:
        for name in ("api", "shop", "model"):
            (folder / name).mkdir()
        server = stack.enter_context(apiserver.running(folder / "api"))
        shop = stack.enter_context(shop_of(server, folder / "shop"))
        judge = stack.enter_context(authorizer(shop.kubeconfig, folder / "authorizer.log"))
        config = config_for(package_of(trained(), folder / "model"), drain_seconds=0)
        runtime = stack.enter_context(serving(config))
        pin(runtime.process.pid, cores.server)
        modes: dict[str, tuple[dict[str, Any], str]] = {
            NONE: ({"mode": "None"}, "x.y.z"),
            KUBERNETES: ({"mode": "Kubernetes"}, shop.token("app")),
            JWT: ({"mode": "JWT", "jwt": {"issuer": ISSUER, "jwks": issuer.jwks}}, issuer.token()),
        }
        doors = {}
        for mode, (access, token) in modes.items():
            wanted = guarded(access, judge.port, revisions=(V1,), namespace=shop.kube.namespace)
            wanted = wanted if mode != NONE else Traffic(wanted.namespace, wanted.name, wanted.weights, (V1,))
            port = stack.enter_context(router(folder / mode, wanted, config.port or 0, cores))
            doors[mode] = Door(port, token)
            until(lambda door=doors[mode]: answers(door), f"a router for mode {mode}")  # type: ignore[misc]
        yield doors, judge


@contextmanager
def router(folder: Path, wanted: Traffic, upstream: int, cores: Cores) -> Iterator[int]:
    """The port of an Envoy with these files, on the server's core."""
    members = (("127.0.0.1", upstream),)
    layout = Layout(
        endpoint_port=free_port(),
        admin_port=free_port(),
        read_only_port=free_port(),
        config_dir=str(folder),
        members=lambda *_: members,
        grpc_members=lambda *_: members,
    )
    folder.mkdir()
    for name, text in envoy_config.files(wanted, layout).items():
        # The runtime calls its model otherwise, and is asked for its health by that name.
        (folder / name).write_text(text.replace("/v2/models/m/ready", "/v2/health/ready"))
    argv = [str(ENVOY), "-c", str(folder / "bootstrap.yaml"), "--concurrency", "1", "--disable-hot-restart"]
    with subprocess.Popen(cores.serving([*argv, "--log-level", "error"])) as process:
        try:
            yield layout.endpoint_port
        finally:
            process.terminate()


def answers(door: Door) -> bool:
    """Whether a request with the right token is answered."""
    try:
        seen = load(door, 1, 1)
    except BenchError:
        return False
    return seen.rate > 0 and not seen.refused


def load(door: Door, connections: int, seconds: int, pause: int = 0, flood: str = "") -> Seen:
    """Ask over keep-alive connections from the load's core."""
    argv = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    argv += ["--script", str(SCRIPT), f"http://127.0.0.1:{door.port}{PATH}"]
    environ = {**os.environ, "BENCH_TOKEN": door.token, "BENCH_PAUSE": str(pause), "BENCH_BODY": BODY.decode()}
    environ |= {"BENCH_FLOOD": flood} if flood else {}
    done = subprocess.run(choose().loading(argv), env=environ, capture_output=True, text=True, check=False)
    line = re.search(r"^BENCH (\{.*\})$", done.stdout, re.M)
    if line is None:
        raise BenchError(f"wrk printed no result: {done.stdout}{done.stderr}")
    seen = json.loads(line[1])
    if seen["broken"]:
        raise BenchError(f"{seen['broken']} connections broke under load")
    rate = seen["requests"] / seen["duration_us"] * 1e6
    return Seen(rate, seen["p50_us"] / 1000, seen["p99_us"] / 1000, seen["status"])


def cost(report: Report, doors: dict[str, Door], rounds: int, seconds: int) -> None:
    """The modes take turns, each time in another order. The median of what each round says counts: what
    disturbs one disturbs all of it.
    """
    seen: dict[tuple[str, int], list[Seen]] = {(mode, count): [] for mode in doors for count in (ALONE, MANY)}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for count in (ALONE, MANY):
            modes = [*doors][number % 3 :] + [*doors][: number % 3]
            for mode in modes:
                seen[mode, count].append(load(doors[mode], count, seconds))
    for mode in (KUBERNETES, JWT):
        alone, many = (zip(seen[mode, count], seen[NONE, count], strict=True) for count in (ALONE, MANY))
        added = statistics.median(one.p50 - other.p50 for one, other in alone)
        share = statistics.median(one.rate / other.rate for one, other in many)
        report.at_most(f"{mode}: added to the median of a lone caller", ADDED_MS, added, "ms")
        report.at_least(f"{mode}: share of the throughput over {MANY} connections", SHARE, share)
    report.equal("refusals of right tokens", 0, sum(one.refused for many in seen.values() for one in many))
    report.details["p50 of a lone caller, ms"] = {mode: _median(seen[mode, ALONE], "p50") for mode in doors}
    report.details["answers a second"] = {mode: _median(seen[mode, MANY], "rate") for mode in doors}


def flood(report: Report, mode: str, floods: Floods) -> None:
    """What wrong tokens cost those who have a right one."""
    rounds = zip(floods.flooded, floods.calm, strict=True)
    slower = statistics.median(flooded.p50 / calm.p50 for flooded, calm in rounds)
    report.at_most(f"{mode}, flooded with wrong tokens: a right one's median grows to", SLOWER, slower, "times")
    report.at_most(f"{mode}: questions to the API server in a flooded round", floods.renewals, max(floods.questions))
    report.equal(f"{mode}: refusals of right tokens beside wrong ones", 0, sum(one.refused for one in floods.flooded))
    report.details[f"flood, {mode}"] = {
        "questions to the API server in a round": floods.questions,
        "wrong tokens a second": _median(floods.wrong, "rate"),
        "right ones a second": _median(floods.flooded, "rate"),
        "calm p50 and p99, ms": [_median(floods.calm, "p50"), _median(floods.calm, "p99")],
        "flooded p50 and p99, ms": [_median(floods.flooded, "p50"), _median(floods.flooded, "p99")],
        # What of it is the sender's and the router's own work for that many more requests, whatever they are.
        "beside as many without need of a token, ms": [
            _median(floods.beside_health, "p50"),
            _median(floods.beside_health, "p99"),
        ],
    }


def flooded(door: Door, judge: Authorizer, rounds: int, seconds: int) -> Floods:
    """Valid callers alone, beside as many requests that need no token, and beside wrong tokens, in turns."""
    # What is known is renewed every ten seconds, by two questions.
    floods = Floods(renewals=2 + 2 * seconds / 10)
    for _ in range(rounds):
        floods.calm.append(load(door, CALM_CONNECTIONS, seconds, CALM_PAUSE_MS))
        floods.beside_health.append(asyncio.run(side_by_side(door, seconds, "health"))[0])
        before = asked(judge)
        valid, refused = asyncio.run(side_by_side(door, seconds, "tokens"))
        floods.flooded.append(valid)
        floods.wrong.append(refused)
        floods.questions.append(asked(judge) - before)
    return floods


async def side_by_side(door: Door, seconds: int, flood: str) -> tuple[Seen, Seen]:
    """Right tokens and a flood at the same time."""
    right = asyncio.to_thread(load, door, CALM_CONNECTIONS, seconds, CALM_PAUSE_MS)
    others = asyncio.to_thread(load, door, FLOOD_CONNECTIONS, seconds, FLOOD_PAUSE_MS, flood)
    return await asyncio.gather(right, others)


def asked(judge: Authorizer) -> float:
    """Questions that the API server was asked so far."""
    return judge.metric("sluice_authorizer_api_requests_total")


def _median(seen: list[Seen], what: str) -> float:
    return float(statistics.median(getattr(one, what) for one in seen))


if __name__ == "__main__":
    sys.exit(main())
