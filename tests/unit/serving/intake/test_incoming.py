"""Requests that wait for their features: places in the queue, callers that leave, time that runs out."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sluice.manifest import Datatype
from sluice_runtime.batching import Batcher
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.intake.intake import Fetched
from sluice_runtime.intake.values import Mask
from sluice_runtime.metrics import Metrics
from sluice_runtime.plane import InferRequest, Model, Plane
from sluice_runtime.running import Receiver, Work
from sluice_runtime.signature import Signature, Tensor, Tensors
from unit.serving.batchers import batcher_of
from unit.serving.fakes import FakeRunner, spec, turns
from unit.serving.intake.packages import Found, found, intake, keys, references

X = {"name": "x"}
INPUTS = (spec("x", Datatype.FP32, -1),)


class Asking:
    """One question, which can be answered once."""

    def __init__(self, entities: Tensors, until: float, receiver: Receiver[Fetched]) -> None:
        self.keys = entities["store_id"].tolist()
        self.until = until
        self.receiver = receiver
        self.forgotten = False

    def forget(self) -> None:
        self.forgotten = True


class FakeStore:
    """Answers at once with `answer`, or when it is told to."""

    def __init__(self, answer: Found | Exception | None = None) -> None:
        self.answer = answer
        self.asked: list[Asking] = []

    def lookup(
        self,
        entities: Tensors,
        wanted: Mapping[str, Mask | None],
        rows: int,
        deadline: float,
        receiver: Receiver[Fetched],
    ) -> Asking | None:
        asking = Asking(entities, deadline, receiver)
        self.asked.append(asking)
        if self.answer is None:
            return asking
        if isinstance(self.answer, Found):
            receiver.set_result(self.answer)
        else:
            receiver.set_exception(self.answer)
        return None


class Shop:
    """A plane whose model doubles the feature `x`."""

    def __init__(self, store: FakeStore, **settings: Any) -> None:
        self.runner = FakeRunner()
        self.store = store
        self.batcher: Batcher = batcher_of(self.runner, **settings)
        self.plane = Plane("shop", Metrics("shop", "r", CollectorRegistry()))
        taken = intake(INPUTS, features=references(X), variables=[{"name": "x", "onViolation": "Flag", "maximum": 100}])
        self.model = Model("shop", "3", Signature(INPUTS, INPUTS, batchable=True), self.batcher, taken, store)
        self.plane.serve(self.model)

    def ask(self, *stores: int, timeout: float | None = None) -> tuple[InferRequest, Work]:
        request = InferRequest({"store_id": keys(*stores)}, timeout=timeout)
        return request, self.plane.submit(self.model, request)


async def answered(work: Work) -> list[float]:
    [tensor] = await asyncio.wait_for(work.future, 60)
    values: list[float] = tensor.tolist()
    return values


async def refused(work: Work) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await asyncio.wait_for(work.future, 60)
    return caught.value


def raised(call: Callable[[], Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        call()
    return caught.value


async def test_a_request_is_queued_when_the_store_has_answered() -> None:
    shop = Shop(FakeStore())
    request, work = shop.ask(1, 2)
    await turns()
    assert (shop.runner.runs, shop.store.asked[0].keys) == ([], [1, 2])
    shop.store.asked[0].receiver.set_result(found("x=default(outage:2)", x=[3, 500]))
    assert await answered(work) == [6, 1000]
    assert request.notes == "x=default(outage:2), x=flagged(1)"


async def test_a_store_that_knows_at_once_delays_nothing() -> None:
    shop = Shop(FakeStore(found(x=[3])))
    works = [shop.ask(1)[1] for _ in range(3)]
    assert [await answered(work) for work in works] == [[6]] * 3
    assert shop.runner.runs == [3], "they should have shared a run"


async def test_what_the_store_refuses_at_once_is_raised_and_later_is_told() -> None:
    unknown = RequestError(Kind.UNKNOWN, "no such store")
    at_once = Shop(FakeStore(unknown))
    assert raised(lambda: at_once.ask(1)) is unknown
    assert at_once.plane.welcoming
    later = Shop(FakeStore())
    _, work = later.ask(1)
    later.store.asked[0].receiver.set_exception(unknown)
    assert await refused(work) is unknown


async def test_a_fault_of_the_lookup_ends_the_request_and_frees_its_place() -> None:
    shop = Shop(FakeStore(), max_queue=1)
    _, work = shop.ask(1)
    shop.store.asked[0].receiver.set_exception(ValueError("a bug"))
    assert (await refused(work)).kind is Kind.FAILED
    _, work = shop.ask(1)
    shop.store.asked[1].receiver.set_result(found(x=[1, 2, 3]))
    assert (await refused(work)).kind is Kind.FAILED, "three values came for one row"
    assert shop.plane.welcoming


async def test_requests_that_wait_for_features_hold_places_in_the_queue() -> None:
    shop = Shop(FakeStore(), max_queue=3)
    works = [shop.ask(number)[1] for number in range(3)]
    assert not shop.plane.welcoming
    assert raised(lambda: shop.plane.admit(shop.model)).kind is Kind.OVERLOADED
    assert raised(lambda: shop.ask(9)).kind is Kind.OVERLOADED
    assert len(shop.store.asked) == 3, "the store was asked for a request that was refused"
    for number, asking in enumerate(shop.store.asked):
        asking.receiver.set_result(found(x=[number]))
    assert [await answered(work) for work in works] == [[0], [2], [4]]
    assert shop.plane.welcoming


async def test_a_caller_that_leaves_waits_no_longer_and_gives_its_place_back() -> None:
    shop = Shop(FakeStore(), max_queue=1)
    _, work = shop.ask(1)
    shop.plane.forget(shop.model, work)
    assert shop.store.asked[0].forgotten
    assert shop.plane.welcoming
    shop.store.asked[0].receiver.set_result(found(x=[1]))
    shop.plane.forget(shop.model, work)
    await turns()
    assert shop.runner.runs == []
    _, work = shop.ask(2)
    shop.store.asked[1].receiver.set_result(found(x=[1]))
    shop.plane.forget(shop.model, work)
    await turns()
    assert shop.runner.runs == [], "it had come to the queue, and was not taken from there"


async def test_the_lookup_is_a_part_of_the_time_that_a_request_has() -> None:
    shop = Shop(FakeStore(), deadline=50.0)
    now = asyncio.get_running_loop().time()
    shop.ask(1)
    shop.ask(1, timeout=20.0)
    shop.ask(1, timeout=500.0)
    assert [round(asking.until - now) for asking in shop.store.asked] == [50, 20, 50]
    _, late = shop.ask(1, timeout=0.001)
    await asyncio.sleep(0.01)
    shop.store.asked[3].receiver.set_result(found(x=[1]))
    assert (await refused(late)).kind is Kind.STORE_DEADLINE


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("outcome", [found(x=[3]), RequestError(Kind.UNKNOWN, "no such store")])
async def test_a_request_is_gone_at_once_when_it_was_answered(at_once: bool, outcome: Found | RequestError) -> None:
    shop = Shop(FakeStore(outcome if at_once else None))

    async def ask() -> None:
        try:
            _, work = shop.ask(1)
        except RequestError as error:
            assert error is outcome  # noqa: PT017 - `raises` would keep it
            return
        asking = shop.store.asked.pop()
        if not at_once and isinstance(outcome, Found):
            asking.receiver.set_result(outcome)
        elif isinstance(outcome, RequestError):
            asking.receiver.set_exception(outcome)
        await asyncio.wait([work.future])
        work.future.exception()

    for _ in range(3):
        await ask()
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            await ask()
            shop.store.asked.clear()
            if isinstance(outcome, RequestError):
                outcome.__traceback__ = None
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_what_fits_no_model_reaches_no_store() -> None:
    shop = Shop(FakeStore())
    request = InferRequest({"store_id": keys(1)}, outputs=("nothing",))
    assert raised(lambda: shop.plane.submit(shop.model, request)).kind is Kind.INVALID
    wrong: dict[str, Tensor] = {"store_id": np.zeros((2, 2), np.int64)}
    assert raised(lambda: shop.plane.submit(shop.model, InferRequest(wrong))).kind is Kind.INVALID
    assert shop.store.asked == []
