"""Reads JSON that a server answered. It may be made to be read: a megabyte of `{},` would become a gigabyte of objects.

So its parts are counted before it is parsed. Lists in the models that are read here fail fast, because each error of
a list takes as much memory as what it is about.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

MAX_PARTS = 150_000
"""Braces, brackets and commas. A listing of as many files as a package may have takes some 90,000."""

A = TypeVar("A", bound=BaseModel)


def read_answer(kind: type[A], content: bytes, max_parts: int = MAX_PARTS) -> A:
    """Parse and check an answer.

    Raises:
        ValidationError: it is no JSON, something else, or has more parts than any honest one.
    """
    if sum(content.count(mark) for mark in (b"{", b"[", b",")) > max_parts:
        error = PydanticCustomError("too_many_parts", "More than {max_parts} parts", {"max_parts": max_parts})
        raise ValidationError.from_exception_data(kind.__name__, [InitErrorDetails(type=error, input=None)])
    return kind.model_validate_json(content)
