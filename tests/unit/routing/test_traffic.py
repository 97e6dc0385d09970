"""The observer against HTTP servers that answer what routers and runtimes answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from sluice_operator.cluster.prometheus_text import parse
from sluice_operator.cluster.traffic import TrafficObserver
from sluice_operator.planning.observed import Excuse, RouterPod, Window
from sluice_operator.planning.outages import LOOK_SECONDS
from support.answering import answering

V1, V2 = "0123456789", "abcdef0123"
ROUTER_1, ROUTER_2, POD_1, POD_2, POD_3 = (f"127.0.0.{number}" for number in range(1, 6))
NOW = 10_000.0


def router_text(answers: dict[str, tuple[int, int]], versions: str = "aaa", uptime: int = 500) -> str:
    cds, rds, lds = versions.split("/") if "/" in versions else (versions,) * 3
    lines = [
        f'cluster_manager.cds.version_text: "{cds}"',
        f'http.endpoint.rds.endpoint.version_text: "{rds}"',
        f'listener_manager.lds.version_text: "{lds}"',
        f"server.uptime: {uptime}",
    ]
    for revision, (requests, errors) in answers.items():
        lines += [
            f"cluster.{revision}.membership_healthy: 2",
            f"cluster.{revision}.upstream_rq_completed: {requests}",
            f"cluster.{revision}.retry.upstream_rq_completed: 77",
        ]
        lines += [f"cluster.{revision}.upstream_rq_5xx: {errors}"] if errors else []
    return "\n".join(lines) + "\n"


def runtime_text(fast: int, slow: int, started_at: float = NOW - 500, errors: int = 0) -> str:
    bucket = 'sluice_request_duration_seconds_bucket{model="m",revision="r"'
    return (
        f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started_at}\n"
        f'{bucket},le="0.001"}} {fast}\n{bucket},le="+Inf"}} {fast + slow}\n'
        f'sluice_requests_total{{code="500",model="m",revision="r"}} {errors}\n'
        f'sluice_requests_total{{code="200",model="m",revision="r"}} {fast + slow - errors}\n'
    )


@dataclass
class Pods:
    """What answers on each address; no text: 503."""

    texts: dict[str, str] = field(default_factory=dict)
    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        host = str(request.url.host)
        self.asked.append(host)
        return web.Response(text=self.texts[host]) if host in self.texts else web.Response(status=503)


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    pods = Pods()
    async with answering(pods.answer, "/stats", "/metrics") as pods.port:
        yield pods


def store_text(
    refused: int, answered: int, lost: int, useless: int = 0, *, started_at: float = NOW - 500, late: int = 0
) -> str:
    """A runtime that asks a feature store; all that it refuses is an error. `late`: of those, the ones whose time was
    over first.
    """
    calls = 'sluice_feature_store_calls_total{model="m",revision="r"'
    return runtime_text(answered, refused, started_at, errors=refused) + (
        f'sluice_rejections_total{{model="m",reason="feature_store",revision="r"}} {refused - late}\n'
        f'sluice_rejections_total{{model="m",reason="feature_store_deadline",revision="r"}} {late}\n'
        f'sluice_rejections_total{{model="m",reason="features",revision="r"}} 1000\n'
        f'{calls},outcome="answered"}} {answered}\n'
        f'{calls},outcome="timeout"}} {lost}\n{calls},outcome="away"}} {lost}\n'
        f'{calls},outcome="status"}} {useless}\n'
    )


@dataclass
class Clock:
    """Unix time that passes when it is told to."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Watched:
    """A rollout of two versions that ask a feature store: stable on POD_1, the canary on POD_2."""

    pods: Pods
    observer: TrafficObserver
    clock: Clock

    async def look(self, errors: int | None = None, more: dict[str, str] | None = None, **texts: str | None) -> Window:
        """A look later the canary's window, where `stable` and `canary` tell this, or nothing (None), and further pods
        of the canary `more`. `errors`: of the canary to the router, if not those that its pods tell.
        """
        self.clock.now += LOOK_SECONDS
        for name, ip in (("stable", POD_1), ("canary", POD_2)):
            text = texts.get(name, self.pods.texts.get(ip))
            self.pods.texts.pop(ip, None)
            self.pods.texts |= {ip: text} if text is not None else {}
        self.pods.texts |= more or {}
        canaries = [POD_2, *(more or {})]
        told = sum(parse(self.pods.texts[ip]).errors for ip in canaries if ip in self.pods.texts)
        self.pods.texts[ROUTER_1] = router_text({V1: (1000, 0), V2: (1000, int(told) if errors is None else errors)})
        found = await self.observer.windows("k", [ROUTER_1], {V1: [POD_1], V2: canaries}, V1)
        return (found or {}).get(V2, Window())


@asynccontextmanager
async def watching(pods: Pods) -> AsyncIterator[Watched]:
    clock = Clock()
    async with aiohttp.ClientSession() as http:
        observer = TrafficObserver(http, router_port=pods.port, runtime_port=pods.port, clock=clock)
        watched = Watched(pods, observer, clock)
        await watched.look(stable=store_text(0, 10, 0), canary=store_text(0, 10, 0))
        yield watched


@pytest.fixture
async def observer(pods: Pods) -> AsyncIterator[TrafficObserver]:
    async with aiohttp.ClientSession() as http:
        yield TrafficObserver(http, router_port=pods.port, runtime_port=pods.port, clock=lambda: NOW)


async def test_a_router_reports_its_version_and_its_healthy_members(pods: Pods, observer: TrafficObserver) -> None:
    pods.texts[ROUTER_1] = router_text({V1: (5, 0)})
    (router,) = await observer.routers([("r-1", ROUTER_1, True)], [V1, V2])
    assert router == RouterPod("r-1", True, "aaa", {V1: 2})


@pytest.mark.parametrize("versions", ["aaa/bbb/aaa", "bbb/aaa/aaa", "aaa/aaa/bbb", "//"])
async def test_a_router_between_two_configurations_has_no_version(
    pods: Pods, observer: TrafficObserver, versions: str
) -> None:
    pods.texts[ROUTER_1] = router_text({V1: (5, 0)}, versions)
    (router,) = await observer.routers([("r-1", ROUTER_1, True)], [V1])
    assert router.config_version is None


@pytest.mark.parametrize("text", [None, "nonsense", "<html></html>\n"])
async def test_a_router_that_does_not_answer_is_seen_without_a_version(
    pods: Pods, observer: TrafficObserver, text: str | None
) -> None:
    if text is not None:
        pods.texts[ROUTER_1] = text
    assert await observer.routers([("r-1", ROUTER_1, False)], [V1]) == (RouterPod("r-1", False),)


async def test_a_window_holds_what_happened_since_the_first_look(pods: Pods, observer: TrafficObserver) -> None:
    routers, models = [ROUTER_1, ROUTER_2], {V1: [POD_1], V2: [POD_2]}
    pods.texts = {
        ROUTER_1: router_text({V1: (100, 3), V2: (0, 0)}),
        ROUTER_2: router_text({V1: (200, 0), V2: (0, 0)}),
        POD_1: runtime_text(300, 0),
        POD_2: runtime_text(0, 0),
    }
    assert await observer.windows("k", routers, models) == {}
    pods.texts = {
        ROUTER_1: router_text({V1: (190, 4), V2: (10, 2)}),
        ROUTER_2: router_text({V1: (290, 0), V2: (10, 1)}),
        POD_1: runtime_text(470, 10),
        POD_2: runtime_text(15, 5),
    }
    assert await observer.windows("k", routers, models) == {
        V1: Window(180, 1, {0.001: 170.0, float("inf"): 180.0}),
        V2: Window(20, 3, {0.001: 15.0, float("inf"): 20.0}),
    }


async def test_a_silent_router_is_a_metrics_fault_and_loses_nothing(pods: Pods, observer: TrafficObserver) -> None:
    for requests, seen in ((100, {}), (150, None), (170, {V1: Window(70, 0)})):
        pods.texts[ROUTER_1] = router_text({V1: (requests, 0)})
        if requests == 150:
            del pods.texts[ROUTER_1]
        assert await observer.windows("k", [ROUTER_1], {V1: []}) == seen


async def test_without_a_router_there_is_nothing_to_judge_by(observer: TrafficObserver) -> None:
    assert await observer.windows("k", [], {V1: []}) is None
    assert await observer.windows("k", [], {V1: []}) is None


async def test_a_silent_pod_leaves_its_revision_without_latency(pods: Pods, observer: TrafficObserver) -> None:
    pods.texts = {ROUTER_1: router_text({V1: (0, 0)}), POD_1: runtime_text(0, 0), POD_2: runtime_text(0, 0)}
    models = {V1: [POD_1], V2: [POD_2]}
    await observer.windows("k", [ROUTER_1], models)
    del pods.texts[POD_2]
    pods.texts[POD_1] = runtime_text(5, 0)
    found = await observer.windows("k", [ROUTER_1], models)
    assert found is not None
    assert found[V1].latency == {0.001: 5.0, float("inf"): 5.0}
    assert found[V2].latency is None


async def test_a_restarted_pod_and_a_new_pod_count_from_zero(pods: Pods, observer: TrafficObserver) -> None:
    pods.texts = {ROUTER_1: router_text({V1: (0, 0)}), POD_1: runtime_text(1000, 0)}
    await observer.windows("k", [ROUTER_1], {V1: [POD_1]})
    pods.texts[POD_1] = runtime_text(3, 0, started_at=NOW + 1)
    pods.texts[POD_2] = runtime_text(4, 0, started_at=NOW + 1)
    found = await observer.windows("k", [ROUTER_1], {V1: [POD_1, POD_2]})
    assert found is not None
    assert found[V1].latency == {0.001: 7.0, float("inf"): 7.0}


async def test_open_window_starts_anew_and_forget_forgets(pods: Pods, observer: TrafficObserver) -> None:
    observer.open_window("never-seen")
    for requests in (100, 150):
        pods.texts[ROUTER_1] = router_text({V1: (requests, 0)})
        await observer.windows("k", [ROUTER_1], {V1: []})
    observer.open_window("k")
    pods.texts[ROUTER_1] = router_text({V1: (157, 0)})
    assert await observer.windows("k", [ROUTER_1], {V1: []}) == {V1: Window(7, 0)}
    observer.forget("k")
    assert await observer.windows("k", [ROUTER_1], {V1: []}) == {}


async def test_failures_that_only_the_runtime_knows_of_are_counted(pods: Pods, observer: TrafficObserver) -> None:
    pods.texts = {ROUTER_1: router_text({V1: (100, 2)}), POD_1: runtime_text(80, 20, errors=1)}
    await observer.windows("m", [ROUTER_1], {V1: [POD_1]})
    pods.texts = {ROUTER_1: router_text({V1: (200, 4)}), POD_1: runtime_text(170, 30, errors=8)}
    windows = await observer.windows("m", [ROUTER_1], {V1: [POD_1]})
    assert windows
    assert (windows[V1].requests, windows[V1].errors) == (100, 7)


async def test_where_no_router_counts_the_runtimes_do(pods: Pods, observer: TrafficObserver) -> None:
    models = {V1: [POD_1], V2: [POD_2]}
    pods.texts = {POD_1: runtime_text(300, 0, errors=7), POD_2: runtime_text(0, 0)}
    assert await observer.windows("k", None, models) == {}
    pods.texts = {POD_1: runtime_text(470, 10, errors=8), POD_2: runtime_text(15, 5, errors=3)}
    assert await observer.windows("k", None, models) == {
        V1: Window(180, 1, {0.001: 170.0, float("inf"): 180.0}),
        V2: Window(20, 3, {0.001: 15.0, float("inf"): 20.0}),
    }


async def test_where_only_runtimes_count_a_silent_one_is_a_metrics_fault(pods: Pods, observer: TrafficObserver) -> None:
    models = {V1: [POD_1], V2: [POD_2]}
    pods.texts = {POD_1: runtime_text(0, 0)}
    assert await observer.windows("k", None, models) is None
    assert await observer.windows("k", None, {}) is None
    pods.texts[POD_2] = runtime_text(0, 0)
    assert await observer.windows("k", None, models) == {}
    del pods.texts[POD_2]
    assert await observer.windows("k", None, models) is None


async def test_errors_while_stables_calls_get_no_answer_are_the_feature_stores(pods: Pods) -> None:
    async with watching(pods) as watched:
        seen = await watched.look(stable=store_text(0, 20, 0), canary=store_text(0, 20, 0))
        assert seen.excuse == Excuse()
        seen = await watched.look(stable=store_text(1, 20, 4), canary=store_text(7, 20, 4))
        assert seen.excuse == Excuse(left_out=7, clouded=True)
        await watched.look(stable=store_text(1, 30, 4), canary=store_text(7, 30, 4))
        seen = await watched.look(stable=store_text(1, 40, 4), canary=store_text(7, 40, 4))
        assert seen.excuse == Excuse(left_out=7, clouded=True, over=True)
        watched.observer.open_window("k")
        seen = await watched.look(stable=store_text(1, 50, 4), canary=store_text(7, 50, 4))
        assert seen.excuse == Excuse()


async def test_errors_while_stables_calls_are_answered_are_the_canarys(pods: Pods) -> None:
    async with watching(pods) as watched:
        for look in range(1, 5):
            seen = await watched.look(
                stable=store_text(0, 10 + 10 * look, 0, useless=3 * look), canary=store_text(7 * look, 10, 4 * look)
            )
        assert seen.excuse == Excuse(doubtful=7), "of the newest slice the next one decides"


async def test_pods_that_restart_and_pods_that_come_are_counted_from_zero(pods: Pods) -> None:
    async with watching(pods) as watched:
        started = watched.clock.now + 1
        seen = await watched.look(
            stable=store_text(0, 0, 2, started_at=started), canary=store_text(5, 0, 1, started_at=started)
        )
        assert seen.excuse == Excuse(left_out=5, clouded=True)


async def test_requests_whose_time_was_over_first_are_the_feature_stores_as_well(pods: Pods) -> None:
    async with watching(pods) as watched:
        seen = await watched.look(stable=store_text(1, 10, 4), canary=store_text(57, 10, 4, late=50))
        assert seen.excuse == Excuse(left_out=57, clouded=True)


async def test_a_pod_that_comes_during_a_slice_has_an_excuse_for_all_that_it_refused(pods: Pods) -> None:
    """It began before the slice, and got its first requests in it."""
    async with watching(pods) as watched:
        began = watched.clock.now + 1
        await watched.look(stable=store_text(0, 20, 0), canary=store_text(0, 20, 0))
        seen = await watched.look(stable=store_text(1, 20, 4), canary=store_text(7, 20, 4))
        assert seen.excuse == Excuse(left_out=7, clouded=True)
        more = {POD_3: store_text(25, 0, 4, started_at=began)}
        seen = await watched.look(stable=store_text(1, 20, 8), canary=store_text(9, 20, 8), more=more)
        assert (seen.errors, seen.excuse.left_out) == (34, 34)
        watched.observer.open_window("k")
        seen = await watched.look(stable=store_text(1, 20, 12), canary=store_text(11, 20, 12), more=more)
        assert (seen.errors, seen.excuse.left_out) == (2, 2)


async def test_what_a_pod_that_goes_has_not_told_is_as_what_it_told(pods: Pods) -> None:
    async with watching(pods) as watched:
        more = {POD_3: store_text(0, 10, 0)}
        await watched.look(more=more, stable=store_text(0, 20, 0))
        more = {POD_3: store_text(30, 10, 4)}
        await watched.look(more=more, stable=store_text(1, 20, 4), canary=store_text(30, 10, 4))
        seen = await watched.look(errors=90, stable=store_text(1, 20, 8), canary=store_text(55, 10, 8))
        assert (seen.errors, seen.excuse.left_out) == (90, 90), "it took five of them with it"


async def test_refusals_after_the_routers_look_are_no_errors_that_it_has_seen(pods: Pods) -> None:
    """It is asked first, so that pods have told of all that it has counted."""
    async with watching(pods) as watched:
        assert pods.asked[0] == ROUTER_1
        assert set(pods.asked[1:]) == {POD_1, POD_2}
        seen = await watched.look(errors=40, stable=store_text(1, 10, 4), canary=store_text(50, 10, 4))
        assert (seen.errors, seen.excuse.left_out) == (40, 40)


async def test_errors_of_a_silent_pod_are_its_own_while_stable_misses_nothing(pods: Pods) -> None:
    async with watching(pods) as watched:
        for look in range(1, 10):
            seen = await watched.look(errors=50 * look, stable=store_text(0, 10 + 100 * look, look // 9), canary=None)
            assert (seen.errors, seen.excuse) == (50 * look, Excuse())


async def test_errors_of_a_silent_pod_are_in_doubt_where_stable_has_missed_the_store(pods: Pods) -> None:
    async with watching(pods) as watched:
        seen = await watched.look(errors=50, stable=store_text(9, 10, 4), canary=None)
        assert seen.excuse == Excuse(doubtful=50, untold=True)
        seen = await watched.look(errors=50, stable=store_text(9, 500, 4), canary=None)
        assert seen.excuse == Excuse(doubtful=50, untold=True)


async def test_a_version_that_answers_by_its_defaults_tells_that_it_missed_the_store(pods: Pods) -> None:
    def text(noted: int, missing: int, outage: int, answered: int, lost: int) -> str:
        defaults = 'sluice_feature_defaults_total{feature="%s",model="m",reason="%s",revision="r"} %d\n'
        rows = (("size", "missing", missing), ("size", "outage", outage), ("city", "outage", outage))
        return (
            store_text(0, answered, lost)
            + f'sluice_feature_lookups_total{{model="m",outcome="noted",revision="r"}} {noted}\n'
            + "".join(defaults % row for row in rows)
        )

    async with watching(pods) as watched:
        await watched.look(stable=text(5000, 5000, 0, 20, 0), canary=store_text(0, 20, 0))
        seen = await watched.look(stable=text(6000, 6000, 1, 300, 1), canary=store_text(9, 300, 4))
        assert seen.excuse == Excuse(doubtful=9), "one call was lost"
        seen = await watched.look(stable=text(6200, 6000, 150, 600, 4), canary=store_text(40, 300, 8))
        assert seen.excuse == Excuse(doubtful=40, clouded=True), "it went without for a time"


async def test_while_a_pod_is_silent_nothing_is_lost(pods: Pods) -> None:
    async with watching(pods) as watched:
        await watched.look(stable=store_text(1, 10, 4), canary=None)
        seen = await watched.look(stable=None, canary=store_text(7, 10, 4))
        assert seen.excuse == Excuse(doubtful=7, clouded=True)
        seen = await watched.look(stable=store_text(1, 10, 8), canary=store_text(9, 10, 8))
        assert seen.excuse == Excuse(left_out=9, clouded=True)
