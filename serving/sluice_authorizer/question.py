"""What a router asks, apart from the caller's own words: the header that the operator has rendered into its config.

The authorizer knows no models. Whatever it cannot read it refuses: a field that it does not know may be a restriction.
"""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

HEADER = b"x-sluice-authorize"

_DEFAULT_BODY = 1024**2

Text = Annotated[str, Field(min_length=1, max_length=2048)]


class Mode(StrEnum):
    """Who says who the caller is: the API server, or the token itself, which the router has verified."""

    KUBERNETES = "Kubernetes"
    JWT = "JWT"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, strict=True)


class DataRule(_Part):
    """A CEL rule over the caller's claims and the named inputs of the request; a larger body is refused."""

    entities: tuple[Text, ...] = Field(strict=False, max_length=64)
    rule: Annotated[str, Field(min_length=1, max_length=4096)]
    max_request_bytes: int = Field(default=_DEFAULT_BODY, ge=1)


class Question(_Part):
    """May a caller use the ModelDeployment of this name?"""

    mode: Mode = Field(strict=False)
    namespace: Text
    name: Text
    audiences: tuple[Text, ...] = Field(strict=False, default=(), max_length=64)
    data: DataRule | None = None


@lru_cache(maxsize=1024)
def read_question(header: bytes) -> Question | None:
    """The question of a header; None where it cannot be read."""
    try:
        text = base64.b64decode(header + b"=" * (-len(header) % 4), altchars=b"-_", validate=True)
        question = Question.model_validate_json(text)
    except (binascii.Error, ValidationError):
        return None
    # Without an audience a token for the API server itself would do, which callers must not hand around.
    return None if question.mode is Mode.KUBERNETES and not question.audiences else question
