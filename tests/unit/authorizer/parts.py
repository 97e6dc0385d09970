"""What tests of the authorizer share: a cluster's keys, a clock that is set, and those whom it asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm

from sluice_authorizer.apiserver import Unavailable
from sluice_authorizer.asked import Asked, read_asked
from sluice_authorizer.outcomes import Refusal, User, Why
from sluice_authorizer.reviews import REFUSED_SECONDS
from sluice_authorizer.rules import judge
from sluice_authorizer.tokens import KeyRing, Looked, read_keys

ISSUER = "https://kubernetes.default.svc"
NOW = 1_800_000_000.0
"""Unix time in tests."""

NOBODY = Refusal(Why.WRONG_TOKEN, "the cluster does not accept the token", REFUSED_SECONDS)


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@cache
def private_key(name: str = "one") -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(ec.SECP256R1())


def key_set(*names: str) -> dict[str, Any]:
    """What the API server publishes."""
    keys = [ECAlgorithm.to_jwk(private_key(name).public_key(), as_dict=True) for name in names]
    return {"keys": [{**key, "kid": name, "alg": "ES256", "use": "sig"} for key, name in zip(keys, names, strict=True)]}


def ring(*names: str) -> KeyRing:
    return read_keys({"issuer": ISSUER}, key_set(*(names or ("one",))))


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a token that is good; None takes one away."""
    good = {"iss": ISSUER, "sub": "system:serviceaccount:shop:app", "aud": ["sluice.dev"], "exp": NOW + 600}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def token(key: str = "one", kid: str | None = None, **changed: Any) -> bytes:
    """A token that the cluster has signed."""
    payload = json.dumps(claims(**changed)).encode()
    return PyJWS().encode(payload, private_key(key), "ES256", headers={"kid": kid or key}).encode()


def unsigned(header: Mapping[str, Any], signature: str = "", **changed: Any) -> bytes:
    parts = (json.dumps(part).encode() for part in (header, claims(**changed)))
    return b".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts), signature.encode()])


def question(**changed: Any) -> bytes:
    """The router's header."""
    asked = {"mode": "Kubernetes", "namespace": "shop", "name": "m", "audiences": ["sluice.dev"], **changed}
    return base64.urlsafe_b64encode(json.dumps(asked, sort_keys=True).encode()).rstrip(b"=")


def asked(
    bearer: bytes | None = b"secret",
    method: str = "POST",
    path: bytes = b"/v2/models/m/infer",
    headers: Mapping[bytes, bytes] | None = None,
    source: bytes = b"10.0.0.1",
    **changed: Any,
) -> Asked:
    """A question that can be read."""
    sent = [(b"x-sluice-authorize", question(**changed)), (b"x-forwarded-for", source), *(headers or {}).items()]
    if bearer is not None:
        sent.append((b"authorization", b"Bearer " + bearer))
    found = read_asked(method, b"/authorize" + path, sent, "peer")
    assert isinstance(found, Asked)
    return found


def user(name: str = "ann", expires: float | None = None) -> User:
    return User(name, "1", ("sellers",), {}, name.encode(), expires)


@dataclass
class Looking:
    """Tells of each token that it is of another form, unless it was told otherwise."""

    found: dict[bytes, Looked | Refusal] = field(default_factory=dict)

    async def look(self, token: bytes, audiences: tuple[str, ...]) -> Looked | Refusal:
        del audiences
        return self.found.get(token, Looked(None, None))


@dataclass
class Asking:
    """Knows users by their tokens and grants by user and name; counts what it is asked."""

    users: dict[bytes, User | Refusal] = field(default_factory=dict)
    grants: set[tuple[str, str]] = field(default_factory=set)
    away: bool = False
    identified: list[bytes] = field(default_factory=list)
    permitted: list[tuple[str, str]] = field(default_factory=list)

    async def identify(self, token: bytes, audiences: tuple[str, ...]) -> User | Refusal:
        del audiences
        self.identified.append(token)
        if self.away:
            raise Unavailable("it is away")
        return self.users.get(token, NOBODY)

    async def permit(self, user: User, namespace: str, name: str) -> bool:
        del namespace
        self.permitted.append((user.name, name))
        if self.away:
            raise Unavailable("it is away")
        return (user.name, name) in self.grants


async def judge_here(namespace: str, line: bytes) -> Refusal | None:
    """Without a process of its own."""
    del namespace
    return judge(*json.loads(line))


@dataclass
class Answering:
    """The API server: answers by path, None for none."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        del method
        self.asked.append((path, body))
        answer = self.answers.get(path)
        if answer is None:
            raise Unavailable("it is away")
        found: Mapping[str, Any] = answer
        return found
