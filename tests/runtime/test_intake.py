"""Requests that leave out what the store, the clock and the contract know, against the real process."""

import asyncio
import concurrent.futures
import http.client
import json
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from runtime.harness import PATIENCE, Running, config_for, eventually, run, serving
from runtime.shops import ROW, ask, given, shop_package, tensors
from runtime.test_protocol_grpc import Client
from sluice.failures import Failure, Reason
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from support.feature_store import Store, feature_store_aside

ROWS = {
    **dict.fromkeys((1, 5, 6), ROW),
    2: {"size": 7.0, "staff": 4, "city": "Gouda"},
    3: {**ROW, "size": -4.0},
    4: {**ROW, "city": None},
}
DEFAULTS = {"onMissing": "Default", "onOutage": "Default"}
VIOLATIONS = 'sluice_contract_violations_total{{action="{}",model="shop",revision="",rule="{}",variable="{}"}}'


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with feature_store_aside(rows=ROWS) as found:
        yield found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[Running]:
    config = config_for(
        shop_package(tmp_path_factory.mktemp("shop")),
        features={"url": store.url, "timeoutSeconds": 10},
        limits={"maxQueue": 4},
        access_log=True,
    )
    with serving(config) as running:
        yield running


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    words: str = answer.json()["error"]
    return words


def test_what_a_request_leaves_out_is_filled_in_and_what_it_says_is_taken(shop: Running) -> None:
    whole = ask(shop, store_id=[1, 2], crew=[1, None, 2, None], rain=[5, 6])
    assert given(whole) == {"size": [100.5, 7], "city": ["Delft", "Gouda"], "rain": [5, 6], "crew": [1, 3, 2, 4]}
    assert "x-sluice-notes" not in whole.headers
    assert "parameters" not in whole.json()
    own = ask(shop, store_id=[1, 2], crew=[1, None, 2, None], rain=[5, 6], city=["Gouda", None])
    assert given(own)["city"] == ["Gouda", "Gouda"]
    before = int(time.time())
    [now] = [one for one in ask(shop, store_id=[1], crew=[1, None]).json()["outputs"] if one["name"] == "now_out"]
    assert before <= now["data"][0] <= time.time()


def test_what_was_imputed_and_flagged_is_told_and_counted(shop: Running) -> None:
    before = shop.metrics()
    answer = ask(shop, store_id=[1, 1, 1], crew=[1, None, 9, None, None, None], rain=[500, None, 7])
    assert given(answer)["rain"] == [10, 10, 7]
    assert answer.headers["x-sluice-notes"] == "rain=imputed(2), boss=flagged(1)"
    assert answer.json()["parameters"] == {"sluice_notes": "rain=imputed(2), boss=flagged(1)"}
    # The longer way, through the application.
    body = {"inputs": tensors(store_id=[1, 1, 1], crew=[1, None, 9, None, None, None], rain=[500, None, 7])}
    again = shop.client.post("/v2/models/shop/versions/3/infer", json=body)
    assert again.headers["x-sluice-notes"] == answer.headers["x-sluice-notes"]
    after = shop.metrics()
    counted = [("impute", "range", "rain"), ("impute", "missing", "rain"), ("flag", "range", "boss")]
    for name in (VIOLATIONS.format(*one) for one in counted):
        assert after[name] - before.get(name, 0) == 2


@pytest.mark.parametrize(
    ("inputs", "status", "words"),
    [
        ({"store_id": [1], "crew": [1, None], "size": [1]}, 400, "input 'size' is the feature 'size'"),
        ({"store_id": [1], "crew": [1, None], "now": [1]}, 400, "input 'now' is the time of the request"),
        ({"store_id": [1], "crew": [1, 2]}, 400, "input 'crew' (column 1) is the feature 'staff'"),
        ({"crew": [1, None]}, 400, "input 'store_id' is missing, the key by which features are looked up"),
        ({"store_id": [1, 2], "crew": [1, None]}, 400, "inputs differ in their number of rows"),
        ({"store_id": [1], "crew": [1, None], "city": ["Paris"]}, 400, "'Paris' is none of Delft, Gouda"),
        ({"store_id": [77], "crew": [1, None]}, 404, "the feature store knows no store_id 77"),
        ({"store_id": [3], "crew": [1, None]}, 503, "the feature store's values break the model's contract"),
        ({"store_id": [4], "crew": [1, None]}, 503, "feature 'city' of store_id 4 has no value"),
    ],
)
def test_a_refusal_names_what_to_change(shop: Running, inputs: dict[str, list[Any]], status: int, words: str) -> None:
    assert words in refused(ask(shop, **inputs), status)


def test_a_value_of_the_requests_own_needs_nothing_of_the_store(shop: Running) -> None:
    assert given(ask(shop, store_id=[4], crew=[1, None], city=["Gouda"]))["city"] == ["Gouda"]


def test_grpc_and_raw_tensors_say_the_same(shop: Running) -> None:
    plain = ask(shop, store_id=[1, 2], crew=[1, None, 9, None], rain=[500, 6])
    crew = struct.pack("<4f", 1, float("nan"), 9, float("nan"))
    rain, ids = struct.pack("<2d", 500, 6), struct.pack("<2q", 1, 2)
    head = [
        {"name": "crew", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": len(crew)}},
        {"name": "rain", "datatype": "FP64", "shape": [2, 1], "parameters": {"binary_data_size": len(rain)}},
        {"name": "store_id", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": len(ids)}},
    ]
    text = json.dumps({"inputs": head}).encode()
    binary = shop.client.post(
        "/v2/models/shop/infer",
        content=text + crew + rain + ids,
        headers={"Inference-Header-Content-Length": str(len(text))},
    )
    assert given(binary) == given(plain)
    assert binary.headers["x-sluice-notes"] == plain.headers["x-sluice-notes"] == "rain=imputed(1), boss=flagged(1)"
    client = Client(shop)
    with client.channel:
        inputs = [("store_id", "INT64", [2]), ("crew", "FP32", [2, 2]), ("rain", "FP64", [2, 1])]
        answer = client.infer(*inputs, raw=(ids, crew, rain))
        assert answer.parameters["sluice_notes"].string_param == plain.headers["x-sluice-notes"]
        [size] = [
            raw for one, raw in zip(answer.outputs, answer.raw_output_contents, strict=True) if "size" in one.name
        ]
        assert struct.unpack("<2f", size) == (100.5, 7)
        unknown = [("store_id", "INT64", [1], [77]), ("crew", "FP32", [1, 2], [1, float("nan")])]
        assert client.refusal(lambda: client.infer(*unknown))[0] is grpc.StatusCode.NOT_FOUND
        negative = [("store_id", "INT64", [1], [3]), ("crew", "FP32", [1, 2], [1, float("nan")])]
        assert client.refusal(lambda: client.infer(*negative))[0] is grpc.StatusCode.UNAVAILABLE


def test_metadata_and_documentation_tell_what_may_be_left_out(shop: Running) -> None:
    inputs = {one["name"]: one.get("parameters", {}) for one in shop.client.get("/v2/models/shop").json()["inputs"]}
    assert inputs == {
        "store_id": {"key": "store_id"},
        "size": {"optional": True, "source": "features", "accepted": False},
        "city": {"optional": True, "source": "features"},
        "rain": {"optional": True, "source": "contract"},
        "crew": {"optional": True, "source": "features, contract"},
        "now": {"optional": True, "source": "clock", "accepted": False},
    }
    client = Client(shop)
    with client.channel:
        told = client.call("ModelMetadata", pb.ModelMetadataRequest(name="shop")).inputs
    kinds = {
        one.name: {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in one.parameters.items()}
        for one in told
    }
    assert kinds == inputs
    schema = shop.client.get("/v2/docs/openapi.json").json()
    content = schema["paths"]["/v2/models/shop/infer"]["post"]["requestBody"]["content"]["application/json"]
    words = {
        one["properties"]["name"]["const"]: one.get("description")
        for one in content["schema"]["properties"]["inputs"]["items"]["oneOf"]
    }
    assert words["size"] == "to be left out: filled in by the feature store"
    assert words["store_id"] == "the key 'store_id' of the feature store"
    assert [one["name"] for one in content["example"]["inputs"]] == ["store_id"]


def test_many_callers_are_answered_each_with_its_own(shop: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: ask(shop, store_id=[n % 2 + 1], crew=[1, None]), range(80)))
    assert [given(answer)["size"] for answer in answers] == [[100.5], [7.0]] * 40


def test_marked_requests_leave_digests_whoever_filled_them_in(shop: Running) -> None:
    for mark, store_id in (("right", 1), ("wrong", 77)):
        body = {"inputs": tensors(store_id=[store_id], crew=[1, None])}
        shop.client.post("/v2/models/shop/infer", json=body, headers={"x-sluice-compare": mark})
    kept = {one["id"]: one for one in shop.client.get("/answers").json()["answers"]}
    assert kept["right"]["outputs"]["size_out"]["values"] == [100.5]
    assert kept["wrong"]["error"] == 404


def test_a_lookup_is_a_span_below_its_predictions(tmp_path: Path, store: Store) -> None:
    config = config_for(shop_package(tmp_path), features={"url": store.url, "timeoutSeconds": 10}, drain_seconds=0)
    with serving(config, OTEL_TRACES_EXPORTER="console") as running:
        assert ask(running, store_id=[1, 2], crew=[1, None] * 2).status_code == 200
        client = Client(running)
        with client.channel:
            client.infer(("store_id", "INT64", [1], [1]))
        running.client.close()
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 0
    spans = list(documents((tmp_path / "stdout").read_text()))
    assert [span["name"] for span in spans] == ["features", "infer"] * 2
    for lookup, prediction in (spans[:2], spans[2:]):
        assert lookup["parent_id"] == prediction["context"]["span_id"]
        assert lookup["attributes"]["sluice.features"] == 3
    assert [span["attributes"]["sluice.rows"] for span in spans[::2]] == [2, 1]


def documents(text: str) -> Iterator[dict[str, Any]]:
    """JSON documents, one after another."""
    reader = json.JSONDecoder()
    while text := text.lstrip():
        document, end = reader.raw_decode(text)
        yield document
        text = text[end:]


class Held:
    """Calls of the store hang, or go on."""

    def __init__(self, store: Store) -> None:
        self.open = False
        self._store = store

    async def __call__(self, call: Any) -> None:
        while not self.open:  # noqa: ASYNC110 - it is set on another thread
            await asyncio.sleep(0.01)
        await self._store.answer(call)


def waiting(running: Running) -> float:
    return running.metrics()['sluice_requests_in_flight{model="shop",revision=""}']


def test_requests_that_wait_for_the_store_are_bounded_and_may_leave(shop: Running, store: Store) -> None:
    store.manner = held = Held(store)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waits = [pool.submit(ask, shop, store_id=[number], crew=[1, None]) for number in (1, 2, 1, 2)]
            eventually(lambda: waiting(shop) == 4)
            assert "too many requests" in refused(ask(shop, store_id=[1], crew=[1, None]), 503)
            held.open = True
            assert [given(answer.result(PATIENCE))["size"] for answer in waits] == [[100.5], [7.0]] * 2
        held.open = False
        for path in ("/v2/models/shop/infer", "/v2/models/shop/versions/3/infer"):
            leaves(shop, path)
    finally:
        held.open = True
        store.manner = None


def leaves(running: Running, path: str) -> None:
    """A caller that asks and hangs up is waited for no longer."""
    body = json.dumps({"inputs": tensors(store_id=[1], crew=[1, None])})
    caller = http.client.HTTPConnection("127.0.0.1", running.config.port, timeout=PATIENCE)
    caller.request("POST", path, body)
    eventually(lambda: waiting(running) == 1)
    caller.close()
    eventually(lambda: waiting(running) == 0)


def test_the_lookup_counts_within_the_requests_time(shop: Running, store: Store) -> None:
    store.manner = held = Held(store)
    of_the_store, of_the_model = rejections(shop, "feature_store_deadline"), rejections(shop, "deadline")
    try:
        # Nobody else has asked for this store's: an answer on its way would be shared.
        body = {"inputs": tensors(store_id=[5], crew=[1, None]), "parameters": {"timeout": 50_000}}
        refused(shop.client.post("/v2/models/shop/infer", json=body), 504)
        assert rejections(shop, "feature_store_deadline") == of_the_store + 1
        client = Client(shop)
        with client.channel:
            request = client.request(("store_id", "INT64", [1], [6]))
            late = client.refusal(lambda: client.call("ModelInfer", request, timeout=0.05))
            assert late[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: waiting(shop) == 0)
        assert rejections(shop, "deadline") == of_the_model, "it was the store that took the time"
    finally:
        held.open = True
        store.manner = None


def rejections(running: Running, reason: str) -> float:
    samples = running.metrics().items()
    return sum(value for name, value in samples if name.startswith("sluice_rejections_total") and f'"{reason}"' in name)


def test_a_pod_that_drains_waits_for_requests_that_wait_for_the_store(tmp_path: Path, store: Store) -> None:
    config = config_for(shop_package(tmp_path), features={"url": store.url, "timeoutSeconds": 10}, drain_seconds=0)
    store.manner = held = Held(store)
    try:
        with serving(config) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, running, store_id=[1], crew=[1, None])
            eventually(lambda: waiting(running) == 1)
            running.process.send_signal(signal.SIGTERM)
            eventually(lambda: not listens(running))
            held.open = True
            assert given(answer.result(PATIENCE))["size"] == [100.5]
            running.client.close()
            assert running.process.wait(PATIENCE) == 0
    finally:
        held.open = True
        store.manner = None


def listens(running: Running) -> bool:
    try:
        httpx.get(f"{running.url}/livez", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def test_defaults_are_told_while_the_store_is_away(tmp_path: Path) -> None:
    with feature_store_aside(rows=ROWS) as gone:
        url = gone.url
    config = config_for(shop_package(tmp_path), features={"url": url, **DEFAULTS})
    with serving(config) as running:
        answer = ask(running, store_id=[1], crew=[1, None], city=["Delft"])
        assert given(answer) == {"size": [9.5], "city": ["Delft"], "rain": [10], "crew": [1, 2]}
        assert answer.headers["x-sluice-notes"] == "size=default(outage:1), staff=default(outage:1), rain=imputed(1)"
        assert "'city' cannot be had" in refused(ask(running, store_id=[1], crew=[1, None]), 503)


def test_without_a_store_requests_carry_the_features(tmp_path: Path) -> None:
    with serving(config_for(shop_package(tmp_path))) as running:
        assert given(ask(running, size=[3], city=["Delft"], crew=[1, 2], rain=[4]))["size"] == [3]
        words = refused(ask(running, store_id=[1], crew=[1, 2], rain=[4]), 400)
        assert words == "input 'size' is missing; no feature store is set here that could fill it in"


def test_a_store_with_nothing_to_ask_it_for_is_a_mistake(tmp_path: Path, store: Store) -> None:
    package = shop_package(tmp_path, features=None)
    code, word = run("sluice_runtime", config_for(package, features={"url": store.url}))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.INVALID_CONFIG
    assert "which features to ask it for" in word.message
