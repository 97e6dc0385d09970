"""Requests that no client should send, from a seed: what a fuzz run throws at a runtime."""

from __future__ import annotations

import functools
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

PATH = "/v2/models/shop/infer"
HUGE = (2**31 - 1, 2**31, 2**63, 2**64, 10**30, -1, -(2**31), 0)
ODD: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, 2**64, "", "x", "\x00", [], [[]], {}, {"a": 1}, [None], "é" * 50)
LITERALS = (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e308", b"2e38", b"1" * 400, b"-0", b"0x1", b"01")
METHODS = ("POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
TARGETS = (
    *(PATH, PATH + "/", "/v2/models/shop/versions/3/infer", "/v2/models/shop/versions/9/infer", "/v2/models//infer"),
    *("/v2/models/other/infer", "/v2", "/v2/", "/v2/models/shop", "/v2/models/shop/ready", "/v2/repository/index"),
    *("/v2/%ff%00", "/v2?" + "a" * 999, "*", "http://shop" + PATH, PATH + "?x=" + "%41" * 99),
)

Spoiler = Callable[[random.Random, dict[str, Any]], bytes]


class Hostile:
    """Makes requests from one that is well. `document` is a valid inference request."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._well = json.dumps(document).encode()
        self._random = random.Random(seed)

    def requests(self, count: int) -> Iterator[bytes]:
        """So many requests, each as it goes over the wire."""
        for _ in range(count):
            yield self._request()

    def _request(self) -> bytes:
        chance = self._random
        spoil: Spoiler = chance.choice((_values, _shapes, _structure, _literal, _bytes, _nesting, _binary))
        body = spoil(chance, json.loads(self._well))
        headers = ["host: shop"]
        if chance.random() < 0.15:
            body = _compressed(chance, body, headers)
        if chance.random() < 0.2:
            headers.append(f"inference-header-content-length: {_lie(chance, len(body))}")
        if chance.random() < 0.05:
            headers.append(f"x-request-timeout: {chance.choice(('soon', '-1', '1e999', 'nan', '9', '0x9', ''))}")
        if chance.random() < 0.03:
            headers.append("x-long: " + "a" * chance.choice((10_000, 70_000)))
        method = chance.choice(METHODS) if chance.random() < 0.05 else "POST"
        target = chance.choice(TARGETS) if chance.random() < 0.1 else PATH
        return _framed(chance, f"{method} {target} HTTP/1.1", headers, body)


def _framed(chance: random.Random, line: str, headers: list[str], body: bytes) -> bytes:
    """Mostly an honest length; sometimes chunks, or a length that is not the body's."""
    kind = chance.random()
    if kind < 0.1:
        cuts = sorted(chance.randrange(len(body) + 1) for _ in range(3))
        parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        if kind < 0.02:
            body = body[: chance.randrange(len(body))] + b"zz\r\n"
        headers.append("transfer-encoding: chunked")
    elif kind < 0.13:
        headers.append(f"content-length: {_lie(chance, len(body))}")
    else:
        headers.append(f"content-length: {len(body)}")
    return "\r\n".join([line, *headers, "", ""]).encode() + body


def _lie(chance: random.Random, truth: int) -> object:
    return chance.choice((truth + 1, truth // 2, 0, -1, 2**40, 10**25, "", "x", "1e3", "+5", f"{truth}, {truth}"))


def _values(chance: random.Random, document: dict[str, Any]) -> bytes:
    """Wrong types, wrong counts."""
    tensor = chance.choice(document["inputs"])
    data = tensor["data"]
    for _ in range(chance.randrange(1, 4)):
        if data and chance.random() < 0.7:
            data[chance.randrange(len(data))] = chance.choice(ODD)
        else:
            data[:] = data * chance.randrange(3) if chance.random() < 0.5 else data[: chance.randrange(len(data) + 1)]
    return json.dumps(document).encode()


def _shapes(chance: random.Random, document: dict[str, Any]) -> bytes:
    tensor = chance.choice(document["inputs"])
    sizes: list[Any] = [chance.choice((*HUGE, 1, 2, *ODD)) for _ in range(chance.choice((0, 1, 2, 3, 40, 500)))]
    tensor["shape"] = chance.choice((sizes, chance.choice(ODD), [*tensor["shape"], 1]))
    if chance.random() < 0.3:
        tensor["data"] = []
    return json.dumps(document).encode()


def _structure(chance: random.Random, document: dict[str, Any]) -> bytes:
    """Keys that are missing, odd, foreign or there twice."""
    places = [document, *document["inputs"]]
    place = chance.choice(places)
    key = chance.choice((*place, "id", "outputs", "parameters", "name", "datatype"))
    if key in place and chance.random() < 0.3:
        del place[key]
    else:
        place[key] = chance.choice(
            (*ODD, [{"name": "X"}], [{"name": chance.choice(ODD)}], {"timeout": chance.choice(ODD)})
        )
    text = json.dumps(document).encode()
    return text[:-1] + b"," + text[1:] if chance.random() < 0.1 else text


def _literal(chance: random.Random, document: dict[str, Any]) -> bytes:
    text = json.dumps(document).encode()
    numbers = [i for i, byte in enumerate(text) if byte in b"0123456789"]
    at = chance.choice(numbers)
    return text[:at] + chance.choice(LITERALS) + text[at + 1 :]


def _bytes(chance: random.Random, document: dict[str, Any]) -> bytes:
    """Cut, or with bytes that are no UTF-8, or noise altogether."""
    text = bytearray(json.dumps(document).encode())
    kind = chance.random()
    if kind < 0.4:
        return bytes(text[: chance.randrange(len(text))])
    if kind < 0.9:
        for _ in range(chance.randrange(1, 6)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        return bytes(text)
    return chance.randbytes(chance.randrange(2000))


def _nesting(chance: random.Random, document: dict[str, Any]) -> bytes:
    depth = chance.choice((2, 33, 65, 1000, 1025, 20_000))
    nested = b"[" * depth + b"1" + b"]" * chance.choice((depth, depth - 1))
    text = json.dumps({**document, "inputs": [{**document["inputs"][0], "data": "@"}]}).encode()
    return text.replace(b'"@"', nested)


def _binary(chance: random.Random, document: dict[str, Any]) -> bytes:
    tensor = chance.choice(document["inputs"])
    tensor.pop("data", None)
    tensor["parameters"] = {"binary_data_size": chance.choice((120, 119, 0, *HUGE, *ODD))}
    return json.dumps(document).encode() + chance.randbytes(chance.choice((0, 119, 120, 500)))


def _compressed(chance: random.Random, body: bytes, headers: list[str]) -> bytes:
    encoding = chance.choice(("gzip", "deflate", "gzip, gzip", "br", "identity", "GZIP", ""))
    headers.append(f"content-encoding: {encoding}")
    kind = chance.random()
    if kind < 0.3:
        return gzip.compress(body, 1)
    if kind < 0.5:
        return zlib.compress(body, 1)[: chance.randrange(60)]
    if kind < 0.55:
        return _bomb()
    return body


@functools.cache
def _bomb() -> bytes:
    """A quarter of a gigabyte of spaces in a quarter of a megabyte."""
    return gzip.compress(b" " * 2**28, 9)
