"""Wiring: flags, credentials, and the pieces of one process. See `decision` for what it does."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sluice_authorizer.apiserver import ApiServer, Asks, Json, Unavailable
from sluice_authorizer.credentials import Credentials, NoCredentials, of_kubeconfig, of_service_account
from sluice_authorizer.decision import Decider
from sluice_authorizer.door import Entrance
from sluice_authorizer.judging import Judging
from sluice_authorizer.keys import Keys
from sluice_authorizer.metrics import Metrics
from sluice_authorizer.reviews import Reviews
from sluice_authorizer.server import Server
from sluice_runtime.logs import setup_logging

log = logging.getLogger(__name__)

PREFIX = "SLUICE_AUTHORIZER_"
_PROBE_SECONDS = 2.0


class Counted:
    """The API server, with a count of what it is asked."""

    def __init__(self, api: Asks, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics

    async def ask(self, method: str, path: str, body: Json | None) -> Json:
        """The JSON object that the API server answers.

        Raises:
            Unavailable: there is none.
        """
        kind = path.rpartition("/")[2]
        try:
            answer = await self._api.ask(method, path, body)
        except Unavailable:
            self._metrics.asked(kind, "failed")
            raise
        self._metrics.asked(kind, "answered")
        return answer


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; 0, or 1 where there are no credentials."""
    flags = parser().parse_args(words)
    setup_logging(flags.log_level)
    try:
        credentials = of_kubeconfig(flags.kubeconfig) if flags.kubeconfig else of_service_account()
    except NoCredentials as error:
        log.error("%s", error)
        return 1
    serve(credentials, flags.host, flags.port)
    return 0


def serve(credentials: Credentials, host: str, port: int) -> None:
    """Serve until SIGTERM."""
    clock, metrics = time.monotonic, Metrics()
    api = ApiServer(credentials, clock)
    counted = Counted(api, metrics)
    keys, reviews = Keys(counted, clock, time.time), Reviews(counted)
    decider = Decider(keys, reviews, clock, time.time, Judging())
    metrics.remembered = lambda: {
        "users": len(decider.users),
        "grants": len(decider.grants),
        "refusals": len(decider.refusals),
    }
    entrance = Entrance(decider, metrics, clock)

    async def beside() -> None:
        await become_ready(entrance, keys.read, reviews.rights_missing)

    Server(entrance, host, port, beside).run()


async def become_ready(
    entrance: Entrance, read_keys: Callable[[], Awaitable[None]], rights_missing: Callable[[], Awaitable[list[str]]]
) -> None:
    """Wait until the API server has answered and lets this process ask.

    An API server that goes later changes nothing: what is known is still answered, and others would know no more.
    """
    told = ""
    while not entrance.ready:
        try:
            missing = await rights_missing()
        except Unavailable as error:
            problem = str(error)
        else:
            problem = f"the authorizer's account may not create {' and '.join(missing)}" if missing else ""
        if not problem:
            await read_keys()
            entrance.ready = True
            log.info("ready")
            return
        if problem != told:
            log.warning("not ready: %s", problem)
            told = problem
        await asyncio.sleep(_PROBE_SECONDS)


def parser() -> argparse.ArgumentParser:
    """Flags, whose defaults the environment may set."""
    made = argparse.ArgumentParser(prog="sluice_authorizer", description=__doc__)
    default = os.environ.get
    made.add_argument("--host", default=default(f"{PREFIX}HOST", "0.0.0.0"), help="address to listen on")
    made.add_argument("--port", type=int, default=default(f"{PREFIX}PORT", "8080"), help="port to listen on")
    made.add_argument(
        "--kubeconfig",
        type=Path,
        default=default(f"{PREFIX}KUBECONFIG"),
        help="credentials; without it those of the pod's service account",
    )
    made.add_argument("--log-level", default=default(f"{PREFIX}LOG_LEVEL", "info"), help="debug, info, warning, error")
    return made
