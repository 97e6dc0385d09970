"""One question of a router, taken apart: what is asked, who asks for it, and what the caller's request is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sluice_authorizer.bearer import read_token
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.question import HEADER, Question, read_question

PREFIX = b"/authorize"

CONTENT = frozenset((b"content-type", b"content-encoding", b"grpc-encoding", b"inference-header-content-length"))
"""What says how a body is to be read."""

_AUTHORIZATION = b"authorization"
_CLAIMS = b"x-sluice-claims"
_SOURCE = b"x-forwarded-for"
_READ = CONTENT | {_AUTHORIZATION, _CLAIMS, _SOURCE, HEADER}

_UNREADABLE = Refusal(Why.QUESTION, "the router's question cannot be read; is the authorizer older than the operator?")
_NO_CLAIMS = Refusal(Why.NO_TOKEN, "the router passed on no claims of a verified token")

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)  # not frozen: that makes each construction three times as dear
class Asked:
    """`path`: as it came, without its query. `content`: headers about the body; `unclear` ones came more than once."""

    question: Question
    method: str
    path: bytes
    source: str
    token: bytes | Refusal
    claims: Mapping[str, Any] | Refusal
    content: Mapping[bytes, bytes]
    unclear: frozenset[bytes]


def read_asked(method: str, target: bytes, headers: Headers, peer: str) -> Asked | Refusal:
    """Take a request apart that came to a path below `PREFIX`."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _READ:
            found.setdefault(name, []).append(value)
    questions = found.get(HEADER, [])
    question = read_question(questions[0]) if len(questions) == 1 else None
    if question is None:
        return _UNREADABLE
    told = {name: found[name][0] for name in CONTENT & found.keys()}
    return Asked(
        question=question,
        method=method,
        path=target[len(PREFIX) :].partition(b"?")[0],
        source=_source(found.get(_SOURCE), peer),
        token=read_token(found.get(_AUTHORIZATION, [])),
        claims=_claims(found.get(_CLAIMS, [])),
        content=told,
        unclear=frozenset(name for name in told if len(found[name]) > 1),
    )


def _source(forwarded: list[bytes] | None, peer: str) -> str:
    """Who the router was asked by: what it has added itself is the last of these; what is before may be invented."""
    return forwarded[-1].rpartition(b",")[2].strip().decode("latin-1")[:64] if forwarded else peer


def _claims(found: list[bytes]) -> Mapping[str, Any] | Refusal:
    if len(found) != 1:
        return _NO_CLAIMS
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(found[0] + b"=" * (-len(found[0]) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return _NO_CLAIMS
    return claims if isinstance(claims, dict) else _NO_CLAIMS
