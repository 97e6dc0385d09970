"""How a revision's members follow what DNS says of its headless Service."""

import asyncio

import pytest

from router.dns import Dns, Rcode
from router.harness import V1, Bench, Router, Upstream, eventually, traffic
from router.load import send, steady, until

NAME = "m-0123456789.shop.svc.cluster.local."


async def _pods(bench: Bench, count: int) -> list[Upstream]:
    """The pods of one name share a port and differ by address, as in a cluster."""
    first = await bench.upstream()
    others = [await bench.upstream(host=f"127.0.0.{number}", port=first.port) for number in range(2, count + 1)]
    return [first, *others]


async def _router(bench: Bench, *pods: Upstream) -> tuple[Router, Dns]:
    dns = await bench.dns()
    dns.addresses = tuple(pod.host for pod in pods)
    router = await bench.router(traffic({V1: 100}), {V1: ((NAME, pods[0].port),)}, (dns.address,))
    await router.apply(traffic({V1: 100}))
    await _members(router, len(pods))
    return router, dns


async def _members(router: Router, count: int) -> None:
    """Each protocol has members of its own, which are asked one after the other."""

    async def there() -> bool:
        stats = await router.stats()
        return {stats[f"cluster.{name}.membership_healthy"] for name in (V1, f"{V1}-grpc")} == {str(count)}

    await eventually(there, f"{count} members")


async def _refuses(router: Router) -> bool:
    """Envoy's main thread tells of members before each of its workers has let them go."""
    return (await send(router, 1)).counts == {(503, V1): 1}


async def _asked(dns: Dns) -> None:
    asked = dns.questions
    await eventually(lambda: asyncio.sleep(0, dns.questions > asked + 3), "a few questions")


async def test_members_follow_dns_however_long_it_lets_answers_live(bench: Bench) -> None:
    pods = await _pods(bench, 3)
    router, dns = await _router(bench, pods[0])
    dns.addresses = tuple(pod.host for pod in pods)
    await _members(router, 3)
    dns.addresses = (pods[0].host,)
    for pod in pods[1:]:
        await pod.stop()
    await _members(router, 1)


@pytest.mark.parametrize("fault", ["server failure", "silence"])
async def test_members_stay_while_dns_fails(bench: Bench, fault: str) -> None:
    router, dns = await _router(bench, await bench.upstream())
    dns.rcode, dns.silent = Rcode.server_failure, fault == "silence"
    await _asked(dns)
    assert (await send(router, 50)).failed() == {}
    assert (await router.observe((V1,))).healthy == {V1: 1}


async def test_pods_that_dns_names_no_more_serve_until_they_say_that_they_go(bench: Bench) -> None:
    """All pods of a revision can be on their way out before the first new one is ready."""
    old, new = await _pods(bench, 2)
    router, dns = await _router(bench, old)
    async with steady(router) as answers:
        dns.rcode = Rcode.name_error
        await _asked(dns)
        await until(answers, 300)
        dns.rcode, dns.addresses = Rcode.no_error, (new.host,)
        await _members(router, 2)
        old.ready = False
        await _members(router, 1)
        await until(answers, 100)
        await old.stop()
        await until(answers, 300)
    assert answers.failed() == {}
    assert new.requests > 0


async def test_members_leave_when_nobody_is_there_and_come_back_with_dns(bench: Bench) -> None:
    pod = await bench.upstream()
    router, dns = await _router(bench, pod)
    dns.rcode, pod.ready = Rcode.name_error, False
    await _members(router, 0)
    await eventually(lambda: _refuses(router), "an answer without members")
    dns.rcode, pod.ready = Rcode.no_error, True
    await _members(router, 1)
    assert (await send(router, 50)).failed() == {}


async def test_pods_that_are_all_too_busy_to_say_that_they_are_ready_are_asked_all_the_same(bench: Bench) -> None:
    pods = await _pods(bench, 2)
    router, _ = await _router(bench, *pods)
    for pod in pods:
        pod.ready = False
    await _members(router, 0)
    answers = await send(router, 50)
    assert answers.failed() == {}
    assert sum(pod.requests for pod in pods) == 50
