"""The preview's name leads to the new version alone, and every other name to what the weights say."""

import pytest

from router.harness import V1, V2, Bench, Router
from sluice_operator.routing.base import Previewed, Traffic
from sluice_operator.routing.envoy_routes import REVISION_HEADER

NAMES = ["m-preview", "m-preview.shop", "m-preview.shop.svc", "m-preview.shop.svc.cluster.local", "m-preview.shop:80"]


def previewed(revision: str | None) -> Traffic:
    """Traffic of the model `m`, all of it answered by the first revision."""
    return Traffic("shop", "m", {V1: 100}, (V1, V2), preview=Previewed(revision))


async def routed(bench: Bench, wanted: Traffic) -> Router:
    router = await bench.router(wanted, {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    await router.apply(wanted)
    return router


async def ask(router: Router, host: str) -> tuple[int, str]:
    async with router.http.get(router.url(), headers={"host": host}) as response:
        return response.status, response.headers.get(REVISION_HEADER, "")


@pytest.mark.parametrize("host", NAMES)
async def test_every_spelling_of_the_previews_name_leads_to_the_new_version(host: str, bench: Bench) -> None:
    router = await routed(bench, previewed(V2))
    assert await ask(router, host) == (200, V2)


async def test_every_other_name_goes_by_weight(bench: Bench) -> None:
    router = await routed(bench, previewed(V2))
    for host in ("m", "m.shop.svc", "m-previewer", "127.0.0.1", "models.example:8080"):
        assert await ask(router, host) == (200, V1)


async def test_without_a_new_version_the_preview_says_so_and_nothing_else_changes(bench: Bench) -> None:
    router = await routed(bench, previewed(None))
    async with router.http.get(router.url(), headers={"host": "m-preview"}) as response:
        assert response.status == 503
        assert "to preview" in (await response.json())["error"]
    assert await ask(router, "m") == (200, V1)
