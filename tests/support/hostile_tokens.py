"""Questions that try to get a yes out of the authorizer: hostile tokens, headers, paths and bodies, from a seed.

None of them may be answered with 200, though all know the router's question and the public half of the cluster's keys.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALGORITHMS = (
    "none",
    "None",
    "nOnE",
    "",
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "ES256",
    "PS512",
    "EdDSA",
    None,
    0,
    ["RS256"],
)
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": []},
    "\x00",
    "é",
    2**70,
    [None],
    "9" * 99,
)
KINDS = (
    "application/json",
    "application/octet-stream",
    "application/grpc",
    "text/plain",
    "",
    "application/json, x",
    "*/*",
)
PATHS = (
    *("/v2/models/m/infer", "/v2/models/m/versions/1/infer", "/inference.GRPCInferenceService/ModelInfer"),
    *(
        "/v2/models/m/%69nfer",
        "//v2/models/m/infer",
        "/v2/../v2/models/m/infer",
        "/v2/models/m/infer%2f",
        "/v2;/x",
        "/",
    ),
    *("/../livez", "/%2e%2e/metrics", "/v2/models/m/infer?token=x", "/v2\\models\\m\\infer", "/authorize/v2", "/\x7f"),
)
METHODS = ("POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW")
GOOD_BODY = b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}'


@dataclass
class HostileTokens:
    """`sound` is a token that the cluster has signed, of somebody who may nothing; `stale` one that has expired.

    `question` asks about a model, `bound` about the same with a rule that only allows store 42. `allowed` is the token
    of one who may use the model: used only to ask for what the rule forbids.
    """

    sound: str
    stale: str
    allowed: str
    question: str
    bound: str
    key_set: Mapping[str, Any]
    seed: int
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._makers: Sequence[Callable[[], bytes]] = (
            *(self._forged, self._forged, self._mangled, self._doubled, self._oversized, self._noise),
            *(self._questioned, self._bodied, self._bodied, self._framed),
        )

    def requests(self, count: int) -> Iterator[bytes]:
        """So many requests, each as it goes over the wire."""
        for _ in range(count):
            yield self._chance.choice(self._makers)()

    def _request(
        self, *headers: tuple[str, str], body: bytes = b"", path: str = "", question: str | None = None
    ) -> bytes:
        chance = self._chance
        asked = self.question if question is None else question
        lines = [f"{chance.choice(METHODS)} /authorize{path or chance.choice(PATHS)} HTTP/1.1", "host: a"]
        # Each from another address: the budget of one must not hide what happens to the others.
        lines.append(f"x-forwarded-for: 10.{chance.randrange(256)}.{chance.randrange(256)}.1")
        lines += [f"x-sluice-authorize: {asked}"] if asked else []
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body

    def _bearer(self, token: str) -> tuple[str, str]:
        scheme = self._chance.choice(("Bearer", "bearer", "BEARER"))
        return "authorization", f"{scheme} {token}"

    def _forged(self) -> bytes:
        """A token whose claims are right and whose signature is not."""
        chance = self._chance
        kid = chance.choice([key["kid"] for key in self.key_set["keys"]] + ["x", None, 0, "../../etc/passwd"])
        header: dict[str, Any] = {"alg": chance.choice(ALGORITHMS), "kid": kid, "typ": "JWT"}
        if chance.random() < 0.2:
            header |= {"jwk": chance.choice(self.key_set["keys"]), "jku": "http://127.0.0.1:1/", "crit": ["exp"]}
        if chance.random() < 0.1:
            header |= {"b64": False, "zip": "DEF", "x5c": ["MIIB"]}
        claims = self._claims()
        if chance.random() < 0.3:
            claims[chance.choice([*claims, "nbf", "iat"])] = chance.choice(ODD)
        head = f"{encoded(header)}.{encoded(claims)}"
        return self._request(self._bearer(f"{head}.{self._signature(head)}"))

    def _claims(self) -> dict[str, Any]:
        payload = self.allowed.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return {**claims, "exp": int(time.time()) + 3600, "jti": str(self._chance.random())}

    def _signature(self, head: str) -> str:
        chance = self._chance
        secret = chance.choice([json.dumps(key).encode() for key in self.key_set["keys"]] + [b"", b"secret"])
        digest = hmac.digest(secret, head.encode(), hashlib.sha256)
        signatures = (digest, b"", bytes(256), chance.randbytes(64), chance.randbytes(256))
        borrowed = self.sound.split(".")[2]
        return chance.choice([*(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in signatures), borrowed])

    def _mangled(self) -> bytes:
        """A token of somebody, changed in some place; or of one who may not, or of yesterday."""
        chance = self._chance
        parts = self.allowed.split(".")
        kind = chance.random()
        if kind < 0.3:
            return self._request(self._bearer(chance.choice((self.sound, self.stale))))
        if kind < 0.6:
            place = chance.randrange(3)
            # The last character of a part may carry bits that mean nothing.
            at = chance.randrange(len(parts[place]) - 1)
            other = chance.choice([one for one in "ABCDabcd01-_" if one != parts[place][at]])
            parts[place] = parts[place][:at] + other + parts[place][at + 1 :]
            return self._request(self._bearer(".".join(parts)))
        joined = chance.choice(
            (parts[:2], parts[1:], [*parts, ""], [*parts, *parts], ["", *parts], parts[::-1], [""] * 3)
        )
        return self._request(self._bearer(".".join(joined)))

    def _doubled(self) -> bytes:
        """A good token that does not stand alone, or not in its place."""
        token = self.allowed
        wrong: list[list[tuple[str, str]]] = [
            [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
            [("authorization", f"Bearer {token}"), ("Authorization", "Basic YTpi")],
            [("authorization", f"Bearer {token}, Bearer {token}")],
            [("authorization", f"Bearer {token} {self.sound}")],
            [("authorization", f"Basic {token}")],
            [("authorization", f"Bearer\t{token}")],
            [("authorization", f"Bearer {token[:20]} {token[20:]}")],
            [("authorization", f'Bearer "{token}"')],
            [("authorization", f"Token {token}")],
            [("authorization", token)],
            [("authorization", f"Bearer {token}\udcff")],
            [("authorization", f"Bearer {token}=a")],
            [("x-authorization", f"Bearer {token}")],
            [("proxy-authorization", f"Bearer {token}"), ("cookie", f"token={token}")],
            [("x-sluice-claims", encoded(self._claims()))],
            [("x-sluice-caller", "admin"), ("x-sluice-max-age", "5")],
        ]
        return self._request(*self._chance.choice(wrong))

    def _oversized(self) -> bytes:
        size = self._chance.choice((16_400, 40_000, 70_000))
        return self._request(self._bearer(self.allowed + "A" * size))

    def _noise(self) -> bytes:
        chance = self._chance
        alphabet = chance.choice(("ab.", "0123456789abcdef", "-._~+/=", "é\t ,;"))
        text = "".join(chance.choice(alphabet) for _ in range(chance.randrange(60)))
        return self._request(("authorization", f"Bearer {text}"))

    def _questioned(self) -> bytes:
        """A good token with a question that the operator never wrote."""
        chance = self._chance
        known = json.loads(base64.urlsafe_b64decode(self.question))
        # `data` as null would be a question without a rule, which is a good one.
        known[chance.choice((*known, "data", "extra"))] = chance.choice(ODD[1:])
        wrong = (
            encoded(known),
            "",
            "e30",
            self.question + "!",
            self.question[:-8],
            encoded([known]),
            encoded({**known, "x": 1}),
        )
        asked = chance.choice(wrong)
        return self._request(self._bearer(self.allowed), question=asked)

    def _bodied(self) -> bytes:
        """One who may, asking for what the rule forbids, in every disguise."""
        chance = self._chance
        other = GOOD_BODY.replace(
            b"[42]", chance.choice((b"[43]", b"[null]", b'["42"]', b"[42.5]", b"[42,43]", b"[4e400]"))
        )
        twice = GOOD_BODY[:-2] + b"," + GOOD_BODY[11:]
        bodies = (
            *(other, twice, b"", b"{}", b"[]", b"\xff", GOOD_BODY + b"x", GOOD_BODY[:-1], b"\xef\xbb\xbf" + GOOD_BODY),
            GOOD_BODY.replace(b'"data":[42]', b'"data":[43],"data":[42]'),
            GOOD_BODY.replace(b'"data":[42]', b'"data":[42],"data":[43]'),
            GOOD_BODY.replace(b'"name"', b'"Name"'),
            GOOD_BODY.replace(b"store_id", b"store_ID"),
            GOOD_BODY.replace(b"[1]", chance.choice((b"[2]", b"[-1]", b"[1e9]", b"[9223372036854775807]"))),
            gzip.compress(GOOD_BODY),
            b"[" * chance.choice((10, 1000, 100_000)),
            b" " * 1_100_000 + GOOD_BODY,
            chance.randbytes(chance.randrange(300)),
        )
        body = chance.choice(bodies)
        headers = [self._bearer(self.allowed), ("content-type", chance.choice(KINDS[:2]))]
        if chance.random() < 0.3:
            headers.append(("content-encoding", chance.choice(("gzip", "deflate", "gzip, gzip", "br", "")) + " x"))
        elif chance.random() < 0.3:
            headers.append(("inference-header-content-length", chance.choice(("0", "-1", "9" * 30, "x", "5"))))
        return self._forbidden(body, headers)

    def _forbidden(self, body: bytes, headers: list[tuple[str, str]]) -> bytes:
        lines = ["POST /authorize/v2/models/m/infer HTTP/1.1", "host: a", f"x-sluice-authorize: {self.bound}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "connection: close", "", ""]).encode() + body

    def _framed(self) -> bytes:
        """HTTP that two readers could read differently."""
        chance = self._chance
        other = GOOD_BODY.replace(b"42", b"43")
        lines = ["POST /authorize/v2/models/m/infer HTTP/1.1", "host: a", f"x-sluice-authorize: {self.bound}"]
        lines.append(f"authorization: Bearer {self.allowed}")
        wrong = (
            (["content-type: application/json", "content-type: application/grpc"], other),
            (["transfer-encoding: chunked", "content-length: 5"], b"5\r\nabcde\r\n0\r\n\r\n"),
            (["transfer-encoding: identity, chunked"], b"zz\r\n"),
            ([f"content-length: {len(other)}", "content-length: 1"], other),
            ([f"content-length: {len(other)}", " folded: yes"], other),
            ([f"content-length: {len(other)}", "authorization : Bearer x"], other),
            (["content-length: -1"], other),
            ([f"content-length: {len(other) + 5}"], other),
        )
        more, body = chance.choice(wrong)
        return "\r\n".join([*lines, *more, "connection: close", "", ""]).encode() + body


def encoded(value: Any) -> str:
    """As a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
