"""How a revision's members follow what DNS says of its headless Service."""

import asyncio

import pytest

from router.dns import Dns, Rcode
from router.harness import V1, Bench, Router, eventually, free_port, traffic
from router.load import send, steady, until

NAME = "m-0123456789.shop.svc.cluster.local."


async def _router(bench: Bench, port: int) -> tuple[Router, Dns]:
    dns = await bench.dns()
    dns.addresses = ("127.0.0.1",)
    router = await bench.router(traffic({V1: 100}), {V1: ((NAME, port),)}, (dns.address,))
    await router.apply(traffic({V1: 100}))
    return router, dns


async def _members(router: Router, count: int) -> None:
    async def there() -> bool:
        return (await router.observe((V1,))).healthy == {V1: count}

    await eventually(there, f"{count} members")


async def _refuses(router: Router) -> bool:
    """Envoy's main thread tells of members before each of its workers has let them go."""
    return (await send(router, 1)).counts == {(503, V1): 1}


async def test_members_follow_dns_however_long_it_lets_answers_live(bench: Bench) -> None:
    router, dns = await _router(bench, free_port())
    for count in (3, 1):
        dns.addresses = tuple(f"127.0.0.{number}" for number in range(1, count + 1))
        await _members(router, count)


@pytest.mark.parametrize("fault", ["server failure", "silence"])
async def test_members_stay_while_dns_fails(bench: Bench, fault: str) -> None:
    router, dns = await _router(bench, (await bench.upstream()).port)
    dns.rcode, dns.silent = Rcode.server_failure, fault == "silence"
    asked = dns.questions
    await eventually(lambda: asyncio.sleep(0, dns.questions > asked + 3), "a few questions in vain")
    assert (await send(router, 50)).failed() == {}
    assert (await router.observe((V1,))).healthy == {V1: 1}


async def test_members_leave_when_dns_says_that_there_are_none_and_come_back_with_it(bench: Bench) -> None:
    router, dns = await _router(bench, (await bench.upstream()).port)
    dns.rcode = Rcode.name_error
    await _members(router, 0)
    await eventually(lambda: _refuses(router), "an answer without members")
    dns.rcode = Rcode.no_error
    await _members(router, 1)
    assert (await send(router, 50)).failed() == {}


async def test_a_pod_that_leaves_dns_before_it_stops_costs_no_request(bench: Bench) -> None:
    """The pods of one name share a port and differ by address, as in a cluster."""
    staying = await bench.upstream(host="127.0.0.1")
    leaving = await bench.upstream(host="127.0.0.2", port=staying.port)
    router, dns = await _router(bench, staying.port)
    dns.addresses = ("127.0.0.1", "127.0.0.2")
    await _members(router, 2)
    async with steady(router) as answers:
        await until(answers, 300)
        dns.addresses = ("127.0.0.1",)
        await _members(router, 1)
        await until(answers, 100)
        await leaving.stop()
        await until(answers, 300)
    assert leaving.requests > 0
    assert answers.failed() == {}
