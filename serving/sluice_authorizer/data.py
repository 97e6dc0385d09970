"""Whether a rule lets this caller ask for this data. Long bodies are read on a thread, lest all others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sluice_authorizer.asked import Asked
from sluice_authorizer.entities import read_entities
from sluice_authorizer.outcomes import Refusal
from sluice_authorizer.paths import Form
from sluice_authorizer.question import DataRule
from sluice_authorizer.rules import judge

_READER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
"""One at a time: what a long body becomes while it is read is ten times as large."""

_ENCODINGS = frozenset((b"content-encoding", b"grpc-encoding"))
_INLINE_BYTES = 2 * 1024
"""Read and judged in a millisecond or two, unless they are compressed; longer bodies go to a thread."""


async def judge_data(
    asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes
) -> Refusal | None:
    """None where the rule holds for the data that the body asks for."""
    if len(body) <= _INLINE_BYTES and _ENCODINGS.isdisjoint(asked.content):
        return _judge(asked, form, rule, claims, body)
    work = partial(_judge, asked, form, rule, claims, body)
    return await asyncio.get_running_loop().run_in_executor(_READER, work)


def _judge(asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes) -> Refusal | None:
    entities = read_entities(asked, form, body, rule.entities, rule.max_request_bytes)
    return entities if isinstance(entities, Refusal) else judge(rule.rule, claims, entities)
