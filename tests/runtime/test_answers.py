"""Digests of answers to marked requests, from the real process over each protocol."""

import gzip
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from runtime.harness import Running
from runtime.test_protocol_grpc import Client, tensor
from sluice.comparison import MARK, PATH

TOLD = {"y": {"datatype": "FP32", "shape": [2], "values": [2.0, 1.0]}}
BEYOND = 9
"""Makes the graph fail."""


class Reader:
    """Reads on from where it began, so that tests on one process see their own answers alone."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._after = max((told["number"] for told in self._told(0)), default=0)

    def _told(self, after: int) -> list[dict[str, Any]]:
        answer = self._running.client.get(PATH, params={"after": after})
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["answers"]
        return found

    def news(self) -> list[tuple[str, Any]]:
        return [(told["id"], told.get("outputs") or told["error"]) for told in self._told(self._after)]


@pytest.fixture
def reader(fragile: Running) -> Reader:
    return Reader(fragile)


@pytest.fixture
def calls(fragile: Running) -> Iterator[Client]:
    found = Client(fragile)
    with found.channel:
        yield found


def body(*rows: int) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [len(rows)], "data": rows}]})


def raw(*rows: int) -> tuple[bytes, dict[str, str]]:
    told = {"name": "x", "datatype": "INT64", "shape": [len(rows)], "parameters": {"binary_data_size": 8 * len(rows)}}
    head = orjson.dumps({"inputs": [told]})
    return head + np.array(rows, np.int64).tobytes(), {"inference-header-content-length": str(len(head))}


def post(running: Running, mark: str | None, content: bytes, headers: dict[str, str] | None = None) -> int:
    marked = {} if mark is None else {MARK: mark}
    answer = running.client.post("/v2/models/shop/infer", content=content, headers={**(headers or {}), **marked})
    return answer.status_code


def call(client: Client, mark: str | None, *rows: int) -> grpc.StatusCode:
    marked: dict[str, Any] = {} if mark is None else {"metadata": ((MARK, mark),)}
    request = client.request(tensor("x", "INT64", [len(rows)], list(rows)))
    try:
        client.call("ModelInfer", request, **marked)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_answers_over_rest_are_told_however_the_request_came(fragile: Running, reader: Reader) -> None:
    for number in range(4):
        # From the third one on requests go by what the first two have taught.
        assert post(fragile, f"m{number}", body(2, 1)) == 200
    assert post(fragile, "raw", *raw(2, 1)) == 200
    assert post(fragile, "zipped", gzip.compress(body(2, 1)), {"content-encoding": "gzip"}) == 200
    assert reader.news() == [(mark, TOLD) for mark in ("m0", "m1", "m2", "m3", "raw", "zipped")]


def test_answers_over_grpc_are_told(calls: Client, reader: Reader) -> None:
    assert call(calls, "called", 2, 1) is grpc.StatusCode.OK
    assert reader.news() == [("called", TOLD)]


def test_errors_are_told(fragile: Running, calls: Client, reader: Reader) -> None:
    assert post(fragile, "broken", b"{") == 400
    assert post(fragile, "zipped", gzip.compress(b"{"), {"content-encoding": "gzip"}) == 400
    assert post(fragile, "failed", body(BEYOND)) == 500
    assert call(calls, "called", BEYOND) is grpc.StatusCode.INTERNAL
    assert reader.news() == [("broken", 400), ("zipped", 400), ("failed", 500), ("called", 500)]


def test_of_requests_without_a_mark_nothing_is_kept(fragile: Running, calls: Client, reader: Reader) -> None:
    for _ in range(3):
        assert post(fragile, None, body(2, 1)) == 200
    assert post(fragile, None, gzip.compress(body(2, 1)), {"content-encoding": "gzip"}) == 200
    assert post(fragile, None, b"{") == 400
    assert call(calls, None, 2, 1) is grpc.StatusCode.OK
    assert reader.news() == []


@pytest.mark.parametrize("query", ["after=x", "after=-1", "before=1", "after=" + "9" * 19])
def test_other_questions_are_refused(fragile: Running, query: str) -> None:
    assert fragile.client.get(f"{PATH}?{query}").status_code == 400
    assert fragile.client.post(PATH).status_code == 400
