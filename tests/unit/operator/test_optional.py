"""Kinds that come and go with what somebody installs."""

import pytest

from sluice_operator.cluster.cache import Cache
from sluice_operator.cluster.errors import Unavailable
from sluice_operator.cluster.kinds import ENDPOINT_SLICE, GRPC_ROUTE, HTTP_ROUTE, WATCHED, Kind
from sluice_operator.cluster.optional import Optional
from unit.operator.kube_objects import metadata


class Server:
    """Answers which kinds it serves, unless it is away."""

    def __init__(self, *there: Kind) -> None:
        self.there = set(there)
        self.away = False

    async def served(self, kind: Kind) -> bool:
        if self.away:
            raise Unavailable("no answer")
        return kind in self.there


@pytest.fixture
def cache() -> Cache:
    return Cache()


async def test_a_cluster_without_them_is_watched_without_them(cache: Cache) -> None:
    optional = Optional(Server().served, cache)
    assert not optional.known.is_set()
    assert await optional.changed(), "now it is known"
    assert optional.known.is_set()
    assert optional.watched() == WATCHED
    assert optional.absent() == {"HTTPRoute", "GRPCRoute"}
    assert not await optional.changed()


async def test_they_are_watched_once_they_are_there(cache: Cache) -> None:
    server = Server()
    optional = Optional(server.served, cache)
    await optional.changed()
    server.there = {HTTP_ROUTE}
    assert await optional.changed()
    assert optional.watched() == (*WATCHED, HTTP_ROUTE, ENDPOINT_SLICE)
    assert optional.absent() == {"GRPCRoute"}
    server.there = {HTTP_ROUTE, GRPC_ROUTE}
    assert await optional.changed()
    assert optional.absent() == frozenset()


async def test_what_was_of_a_kind_that_is_gone_is_forgotten(cache: Cache) -> None:
    server = Server(HTTP_ROUTE, GRPC_ROUTE)
    optional = Optional(server.served, cache)
    await optional.changed()
    for kind in (HTTP_ROUTE, ENDPOINT_SLICE, *WATCHED[1:2]):
        cache.put(kind, {"metadata": metadata("one", owner="one")})
    server.there = set()
    assert await optional.changed()
    assert [kind for kind in (HTTP_ROUTE, ENDPOINT_SLICE, *WATCHED[1:2]) if cache.versions(kind)] == [WATCHED[1]]


async def test_a_server_that_does_not_answer_has_changed_nothing(cache: Cache) -> None:
    server = Server(HTTP_ROUTE)
    optional = Optional(server.served, cache)
    server.away = True
    assert not await optional.changed()
    assert not optional.known.is_set()
    server.away = False
    await optional.changed()
    server.away = True
    assert not await optional.changed()
    assert HTTP_ROUTE in optional.watched()
