"""Long bodies of a declared length are received into place, whatever pieces they come in and whatever follows them."""

import json
import select
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from runtime.harness import Running, config_for, eventually, serving
from runtime.raw import BODY, Answers, ask, dial, request
from sluice_runtime.protocol.longlists import LONG_JSON_BYTES

ROWS = 1000
LIMITS = {"maxBodyBytes": 300_000, "maxBufferedBytes": 400_000, "deadlineSeconds": 2}


@pytest.fixture(scope="module")
def running(trained_package: Path) -> Iterator[Running]:
    with serving(config_for(trained_package, limits=LIMITS)) as running:
        running.client.close()
        yield running


def values() -> np.ndarray:
    return (np.arange(ROWS * 30, dtype=np.float32) % 97).reshape(ROWS, 30)


def document(**content: object) -> bytes:
    return json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [ROWS, 30], **content}]}).encode()


def long_json() -> bytes:
    return request(document(data=values().ravel().tolist()))


def long_binary(padding: int = 0) -> bytes:
    """Raw tensors behind JSON of any length: they begin anywhere in the body."""
    text = document(parameters={"binary_data_size": values().nbytes}) + b" " * padding
    return request(text + values().tobytes(), f"inference-header-content-length: {len(text)}")


def labels(answer: tuple[int, dict[str, str], bytes]) -> list[int]:
    assert answer[0] == 200, answer[2]
    data: list[int] = json.loads(answer[2])["outputs"][0]["data"]
    return data


@pytest.fixture(scope="module")
def expected(running: Running) -> list[int]:
    return labels(ask(running, long_json()))


@pytest.mark.parametrize("padding", range(5))
def test_raw_tensors_may_begin_anywhere(running: Running, expected: list[int], padding: int) -> None:
    assert len(expected) == ROWS
    assert len(set(expected)) > 1
    assert labels(ask(running, long_binary(padding))) == expected


def test_json_that_is_left_to_a_thread_is_answered_in_its_turn(running: Running, expected: list[int]) -> None:
    body = document(data=values().ravel().tolist()).replace(b", ", b",    ")
    assert len(body) > LONG_JSON_BYTES
    with dial(running) as line:
        line.sendall(request(body) + request(BODY))
        answers = Answers(line)
        assert labels(answers.next()) == expected
        assert len(labels(answers.next())) == 1


@pytest.mark.parametrize("cuts", [(1,), (100, 230, 231), (200, 70_000), (-1,), (40_000, 41_000, -30_000)])
def test_a_body_may_come_in_any_pieces_and_another_request_right_behind_it(
    running: Running, expected: list[int], cuts: tuple[int, ...]
) -> None:
    data = long_binary()
    ends = [0, *(cut % len(data) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(ends)]
    with dial(running) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = Answers(line)
        for piece in pieces[:-1]:
            line.sendall(piece)
            select.select([], [], [], 0.02)  # so that they are read apart from each other
        line.sendall(pieces[-1] + request(BODY) + long_json())
        assert labels(answers.next()) == expected
        assert len(labels(answers.next())) == 1
        assert labels(answers.next()) == expected


def test_a_caller_that_leaves_in_the_middle_leaves_nothing_behind(running: Running) -> None:
    for _ in range(20):
        with dial(running) as line:
            line.sendall(long_binary()[:100_000])
    eventually(lambda: b'sluice_connections{model="shop",revision=""} 1.0' in scraped(running))
    # More than what all may hold together has come by now; nothing of it is counted any more.
    assert ask(running, long_binary())[0] == 200


def test_bodies_on_their_way_count_as_bytes_held(running: Running) -> None:
    data = long_binary(padding=170_000)
    with dial(running) as first, dial(running) as second:
        first.sendall(data[:-10])
        select.select([], [], [], 0.3)
        second.sendall(data[:-10])
        status, headers, body = Answers(second).next()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert "too many bytes" in json.loads(body)["error"]
        first.sendall(data[-10:])
        assert Answers(first).next()[0] == 200


def test_a_body_that_stops_coming_is_refused_in_time(running: Running) -> None:
    assert ask(running, long_binary()[:-1])[0] == 408


def test_a_long_body_beyond_the_limit_is_refused_before_it_comes(running: Running) -> None:
    head = long_binary(padding=200_000).partition(b"\r\n\r\n")[0]
    status, headers, _ = ask(running, head + b"\r\n\r\n")
    assert (status, headers["connection"]) == (413, "close")


def scraped(running: Running) -> bytes:
    return ask(running, request(b"", method="GET", target="/metrics"))[2]
