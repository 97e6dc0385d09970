"""What a rule has to decide about: the caller and the data. Long bodies are read on a thread, lest all others wait."""

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
from sluice_authorizer.rules import written

_READER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
"""One at a time: what a long body becomes while it is read is ten times as large."""

_ENCODINGS = frozenset((b"content-encoding", b"grpc-encoding"))
_INLINE_BYTES = 2 * 1024
"""Read in a millisecond or two, unless they are compressed; longer bodies go to a thread."""


async def rule_question(
    asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes
) -> bytes | Refusal:
    """What the rule is asked about the data that the body asks for, or why it need not be."""
    work = partial(_read, asked, form, rule, claims, body)
    if len(body) <= _INLINE_BYTES and _ENCODINGS.isdisjoint(asked.content):
        return work()
    return await asyncio.get_running_loop().run_in_executor(_READER, work)


def _read(asked: Asked, form: Form, rule: DataRule, claims: Mapping[str, Any], body: bytes) -> bytes | Refusal:
    entities = read_entities(asked, form, body, rule.entities, rule.max_request_bytes)
    return entities if isinstance(entities, Refusal) else written(rule.rule, claims, entities)
