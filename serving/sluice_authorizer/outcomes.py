"""What a decision is: a grant, or a refusal with its reason. Refusals are values: they are cached and shared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Why(Enum):
    """Why a caller is refused: the metrics' reason and the HTTP status."""

    NO_TOKEN = ("no_token", 401)
    WRONG_TOKEN = ("wrong_token", 401)
    QUESTION = ("question", 403)
    DENIED = ("denied", 403)
    DATA = ("data", 403)
    PATH = ("path", 403)
    BODY = ("body", 400)
    TOO_LARGE = ("too_large", 413)
    CONTENT_TYPE = ("content_type", 415)
    # Never 503: a router that lets callers in while nothing can be checked must not do so because of a flood.
    BUSY = ("busy", 429)
    # Alone marked as such in its answer: a caller can bring the connection's own 408, 431, 500 and 503 about.
    UNAVAILABLE = ("unavailable", 503)

    def __init__(self, reason: str, status: int) -> None:
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Grant:
    """The caller may. `caller`: its name, empty where the router knows it. `max_age`: seconds this may be believed."""

    caller: str
    max_age: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The caller may not. `text`: one sentence for a person. `age`: seconds this may be believed; 0: ask again."""

    why: Why
    text: str
    age: float = 0.0


Decision = Grant | Refusal


@dataclass(frozen=True, slots=True)
class User:
    """Who a token belongs to, as the API server says. `key` tells users apart; `expires`: Unix time, None: unknown."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: dict[str, list[str]]
    key: bytes
    expires: float | None = None
