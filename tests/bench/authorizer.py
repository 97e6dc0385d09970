"""What one decision of the authorizer costs in its own process, once caller and grant are known; and a refused one.

The network, Envoy and the reading of HTTP are not in it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console

from sluice_authorizer.asked import Asked, read_asked
from sluice_authorizer.decision import Decider
from sluice_authorizer.door import answer_of
from sluice_authorizer.judging import Judging
from sluice_authorizer.outcomes import Grant, Refusal, User
from sluice_authorizer.tokens import Looked
from support.report import Report

LIMIT_US = 50.0
ROUNDS = 40
DECISIONS = 2_000
"""In each round, of which the median counts."""

ACCOUNT = "system:serviceaccount:shop:web-shop"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
BODY = json.dumps(
    {"inputs": [{"name": "store_id", "datatype": "INT64", "shape": [8], "data": list(range(8))}]}
).encode()
RULE = {"entities": ["store_id"], "rule": "entities.store_id.all(s, s in [0, 1, 2, 3, 4, 5, 6, 7])"}
"""What a rule over eight rows costs."""

Headers = list[tuple[bytes, bytes]]


class Cluster:
    """Knows one account, which may use everything."""

    async def look(self, token: bytes, audiences: tuple[str, ...]) -> Looked | Refusal:
        del token, audiences
        return Looked(ACCOUNT, time.time() + 3600)

    async def identify(self, token: bytes, audiences: tuple[str, ...]) -> User | Refusal:
        del token, audiences
        return User(ACCOUNT, "uid", GROUPS, {}, b"key", time.time() + 3600)

    async def permit(self, user: User, namespace: str, name: str) -> bool:
        del user, namespace
        return name == "m"


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when every claim holds."""
    del words
    console, report = Console(), Report("bench/authorizer.json")
    asyncio.run(measure(report))
    return report.conclude(console)


async def measure(report: Report) -> None:
    cluster = Cluster()
    judging = Judging()
    decider = Decider(cluster, cluster, time.monotonic, time.time, judging)
    for what, name in (("a known caller is let in", "m"), ("a known refusal is repeated", "other")):
        headers = headers_of({"name": name})
        await decider.decide(asked_by(headers), no_body)
        seconds = timed(lambda headers=headers: decided(decider, headers))  # type: ignore[misc]  # a default, no parameter
        report.at_most(f"{what}: from headers to headers", LIMIT_US, seconds * 1e6, "us")
        one = asked_by(headers)
        report.details[f"{what}: the decision alone, us"] = timed(lambda one=one: decider.at_once(one)) * 1e6  # type: ignore[misc]
    report.details["with a rule over 8 values, us"] = await with_rule(decider) * 1e6
    await judging.close()


async def with_rule(decider: Decider) -> float:
    """Seconds of a decision that reads a body and asks a rule."""
    headers = [*headers_of({"data": RULE}), (b"content-type", b"application/json")]

    async def body() -> bytes | Refusal:
        return BODY

    assert isinstance(await decider.decide(asked_by(headers), body), Grant)
    began = time.perf_counter()
    for _ in range(DECISIONS):
        await decider.decide(asked_by(headers), body)
    return (time.perf_counter() - began) / DECISIONS


async def no_body() -> bytes | Refusal:
    return b""


def headers_of(question: dict[str, object]) -> Headers:
    """As a router sends them, with a token as long as an account's."""
    asked = {"mode": "Kubernetes", "namespace": "shop", "name": "m", "audiences": ["sluice.dev"], **question}
    token = b".".join(base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=") for size in (80, 480, 256))
    return [
        (b"host", b"sluice-authorizer.sluice-system.svc:8080"),
        (b"content-length", b"0"),
        (b"authorization", b"Bearer " + token),
        (b"x-sluice-authorize", base64.urlsafe_b64encode(json.dumps(asked, sort_keys=True).encode())),
        (b"x-forwarded-for", b"10.0.0.7"),
        (b"x-request-id", b"6a1c9c1e-9a0c-4f6b-8f43-6d8b5c3b2a10"),
    ]


def asked_by(headers: Headers) -> Asked:
    found = read_asked("POST", b"/authorize/v2/models/m/infer", headers, "10.0.0.1")
    assert isinstance(found, Asked)
    return found


def decided(decider: Decider, headers: Headers) -> object:
    """Everything between HTTP's parser and its writer."""
    decision = decider.at_once(asked_by(headers))
    assert decision is not None
    return answer_of(decision)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call: the median of the rounds' means."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(DECISIONS):
            work()
        rounds.append((time.perf_counter() - began) / DECISIONS)
    return statistics.median(rounds)


if __name__ == "__main__":
    sys.exit(main())
