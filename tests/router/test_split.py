"""How a real Envoy splits requests, and that changing the split costs none."""

import asyncio
from asyncio.subprocess import DEVNULL

from router.harness import ENVOY, V1, V2, Bench, Router, traffic
from router.load import send, steady, until
from sluice_operator.routing import envoy_config
from support.stats import binomial_interval


async def test_envoy_accepts_every_file(bench: Bench) -> None:
    router = await bench.router(traffic({V1: 100}, V1, V2), {V1: (await bench.upstream(),), V2: ()})
    await router.apply(traffic({V1: 100}, V1, V2))
    stats = await router.stats()
    rejected = {name: value for name, value in stats.items() if name.endswith("update_rejected")}
    assert len(rejected) == 3
    assert set(rejected.values()) == {"0"}
    bootstrap = f"{router.layout.config_dir}/bootstrap.yaml"
    validate = await asyncio.create_subprocess_exec(ENVOY, "--mode", "validate", "-c", bootstrap, stdout=DEVNULL)
    assert await validate.wait() == 0


async def test_the_split_is_exact_on_one_keep_alive_connection(bench: Bench) -> None:
    split = traffic({V1: 90, V2: 10})
    router = await bench.router(split, {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    await router.apply(split)
    answers = await send(router, 5000)
    low, high = binomial_interval(5000, 0.1)
    assert answers.failed() == {}
    assert low <= answers.of(V2) <= high


async def test_the_router_reports_the_version_that_it_applies(bench: Bench) -> None:
    one, two = await bench.upstream(), await bench.upstream()
    router = await bench.router(traffic({V1: 100}), {V1: (one,), V2: (two,)})
    await router.apply(traffic({V1: 100}, V1, V2))
    seen = await router.observe((V1, V2))
    assert seen.config_version == envoy_config.version(traffic({V1: 100}, V1, V2), router.layout)
    assert seen.healthy == {V1: 1, V2: 1}


async def test_a_whole_rollout_of_swaps_fails_no_request(bench: Bench) -> None:
    router = await bench.router(traffic({V1: 100}), {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    steps = [traffic({V1: 100 - weight, V2: weight}) for weight in (0, 10, 50, 100)]
    async with steady(router) as answers:
        for step in [*steps, traffic({V2: 100})]:
            await router.apply(step)
            await until(answers, 300)
    assert answers.failed() == {}
    assert answers.of(V2) > 0


async def test_after_a_swap_is_reported_no_request_takes_the_old_way(bench: Bench) -> None:
    router = await bench.router(traffic({V1: 100}), {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    await router.apply(traffic({V1: 100}, V1, V2))
    await router.apply(traffic({V2: 100}, V1, V2))
    answers = await send(router, 200)
    assert answers.of(V2) == 200


async def test_a_rollback_takes_all_traffic_from_the_canary(bench: Bench) -> None:
    router = await bench.router(
        traffic({V1: 50, V2: 50}), {V1: (await bench.upstream(),), V2: (await bench.upstream(status=500),)}
    )
    await router.apply(traffic({V1: 100}, V1, V2))
    answers = await send(router, 200)
    assert answers.counts == {(200, V1): 200}


async def test_a_router_stays_small(bench: Bench) -> None:
    router = await bench.router(traffic({V1: 100}), {V1: (await bench.upstream(),)})
    async with steady(router, connections=16) as answers:
        await until(answers, 3000)
        resident = _resident_mib(router)
    assert resident < 80


def _resident_mib(router: Router) -> float:
    assert router.process
    with open(f"/proc/{router.process.pid}/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
