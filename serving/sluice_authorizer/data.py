"""Whether a rule lets this caller ask for this data. Long bodies are read on a thread, lest all others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sluice_authorizer.asked import Asked
from sluice_authorizer.entities import read_entities
from sluice_authorizer.outcomes import Refusal
from sluice_authorizer.paths import Form
from sluice_authorizer.question import DataRule
from sluice_authorizer.rules import judge

_ENCODINGS = frozenset((b"content-encoding", b"grpc-encoding"))
_INLINE_BYTES = 8 * 1024
"""Read in a fraction of a millisecond, unless they are compressed; longer bodies go to a thread."""


async def judge_data(
    asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes
) -> Refusal | None:
    """None where the rule holds for the data that the body asks for."""
    if len(body) <= _INLINE_BYTES and _ENCODINGS.isdisjoint(asked.content):
        return _judge(asked, form, rule, claims, body)
    return await asyncio.to_thread(_judge, asked, form, rule, claims, body)


def _judge(asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes) -> Refusal | None:
    entities = read_entities(asked, form, body, rule.entities, rule.max_request_bytes)
    return entities if isinstance(entities, Refusal) else judge(rule.rule, claims, entities)
