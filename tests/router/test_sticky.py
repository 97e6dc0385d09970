"""A user stays on one version while weights rise, on every router, and returns when the canary is taken back."""

from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from router.harness import V1, V2, Bench, Router
from router.load import send
from router.test_grpc import SERVICE, model
from sluice_operator.api.matching import Sticky, StickyCookie
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_routes import REVISION_HEADER
from support.stats import binomial_interval

COOKIE = Sticky(cookie=StickyCookie(name="who", ttl="1h"))
HEADER = Sticky(header="X-User")
USERS = 400


def sticky_traffic(sticky: Sticky, canary: int) -> Traffic:
    """Traffic of the model `m`; where there is no choice nobody needs to be known."""
    weights = {revision: weight for revision, weight in ((V1, 100 - canary), (V2, canary)) if weight}
    return Traffic("shop", "m", weights, (V1, V2), sticky=sticky if len(weights) > 1 else None)


async def routed(bench: Bench, wanted: Traffic) -> Router:
    router = await bench.router(wanted, {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    await router.apply(wanted)
    return router


class User:
    """One browser: sends back the cookie that it was given."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.cookie: SimpleCookie = SimpleCookie()

    async def ask(self, router: Router) -> str:
        sent = {"cookie": "; ".join(f"{name}={found.value}" for name, found in self.cookie.items())}
        async with self._http.post(router.url(), data=b"{}", headers=sent if self.cookie else {}) as response:
            assert response.status == 200
            for header in response.headers.getall("set-cookie", []):
                self.cookie.load(header)
            return response.headers[REVISION_HEADER]


async def users_of(bench: Bench) -> list[User]:
    http = await bench.client()
    return [User(http) for _ in range(USERS)]


async def test_each_new_user_is_drawn_by_weight_and_stays(bench: Bench) -> None:
    router = await routed(bench, sticky_traffic(COOKIE, 20))
    users = await users_of(bench)
    first = [await user.ask(router) for user in users]
    low, high = binomial_interval(USERS, 0.2)
    assert low <= first.count(V2) <= high
    for _ in range(3):
        assert [await user.ask(router) for user in users] == first


async def test_while_weights_rise_a_user_moves_at_most_once_and_a_weight_is_a_share_of_the_users(bench: Bench) -> None:
    router = await routed(bench, sticky_traffic(COOKIE, 10))
    users = await users_of(bench)
    seen = [[await user.ask(router)] for user in users]
    for weight in (30, 60, 100):
        await router.apply(sticky_traffic(COOKIE, weight))
        for user, versions in zip(users, seen, strict=True):
            versions.append(await user.ask(router))
        low, high = binomial_interval(USERS, weight / 100)
        assert low <= sum(versions[-1] == V2 for versions in seen) <= high
    assert all(versions == sorted(versions, key=[V1, V2].index) for versions in seen)
    await router.apply(sticky_traffic(COOKIE, 0))
    assert {await user.ask(router) for user in users} == {V1}


async def test_two_routers_agree_about_every_user(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    wanted = sticky_traffic(COOKIE, 50)
    one, two = await bench.upstream(), await bench.upstream()
    router = await bench.router(wanted, {V1: (one,), V2: (two,)})
    other = await bench.router(wanted, {V1: (one,), V2: (two,)}, folder=tmp_path / "other")
    await router.apply(wanted)
    await other.apply(wanted)
    users = (await users_of(bench))[:100]
    assert [await user.ask(router) for user in users] == [await user.ask(other) for user in users]


async def test_the_cookie_is_given_once_for_as_long_as_said(bench: Bench) -> None:
    router = await routed(bench, sticky_traffic(COOKIE, 50))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        async with http.get(router.url()) as response:
            given = SimpleCookie(response.headers["set-cookie"])["who"]
        assert (given["max-age"], given["path"], given["samesite"]) == ("3600", "/", "Lax")
        async with http.get(router.url(), headers={"cookie": f"a=b; who={given.value}"}) as response:
            assert "set-cookie" not in response.headers


@pytest.mark.parametrize("request_id", ["a;b", "two words", 'quo"te', "a,b"])
async def test_a_request_id_that_is_no_cookie_becomes_none(request_id: str, bench: Bench) -> None:
    router = await routed(bench, sticky_traffic(COOKIE, 50))
    async with router.http.get(router.url(), headers={"x-request-id": request_id}) as response:
        assert response.status == 200
        assert "set-cookie" not in response.headers


async def test_a_header_names_the_user(bench: Bench) -> None:
    seen: list[list[str]] = [[] for _ in range(USERS)]
    router = await routed(bench, sticky_traffic(HEADER, 10))
    for weight in (10, 40, 80):
        await router.apply(sticky_traffic(HEADER, weight))
        for number, versions in enumerate(seen):
            async with router.http.post(router.url(), headers={"x-user": f"user-{number}"}) as response:
                versions.append(response.headers[REVISION_HEADER])
        low, high = binomial_interval(USERS, weight / 100)
        assert low <= sum(versions[-1] == V2 for versions in seen) <= high
    assert all(versions == sorted(versions, key=[V1, V2].index) for versions in seen)


async def test_requests_without_the_header_are_split_each_for_itself(bench: Bench) -> None:
    router = await routed(bench, sticky_traffic(HEADER, 30))
    low, high = binomial_interval(1000, 0.3)
    assert low <= (await send(router, 1000)).of(V2) <= high


async def test_over_grpc_metadata_name_the_user(bench: Bench, tmp_path: Any) -> None:
    async with model(tmp_path) as one, model(tmp_path) as two:
        grpc_members = {V1: (("127.0.0.1", one.grpc_port or 0),), V2: (("127.0.0.1", two.grpc_port or 0),)}
        wanted = sticky_traffic(HEADER, 50)
        pods = {V1: (await bench.upstream(),), V2: (await bench.upstream(),)}
        router = await bench.router(wanted, pods, grpc_members=grpc_members)
        await router.apply(wanted)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            call: Any = channel.unary_unary(f"/{SERVICE}/ServerLive")
            for number in range(20):
                found = set()
                for _ in range(3):
                    answer = call(b"", metadata=(("x-user", f"user-{number}"),), timeout=30)
                    found.add(dict(await answer.initial_metadata())[REVISION_HEADER])
                    await answer
                assert len(found) == 1
