"""The caller's words: its token, taken strictly, because what two programs read differently can be used to get in."""

from __future__ import annotations

import hashlib
import re

from sluice_authorizer.outcomes import Refusal, Why

LONGEST_TOKEN = 16 * 1024

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] {1,8}([A-Za-z0-9\-._~+/]+=*)")
"""RFC 6750, 2.1: the scheme in any case (RFC 9110, 11.1), and a token of no other characters."""

NO_TOKEN = Refusal(Why.NO_TOKEN, "a bearer token is needed: send it as 'Authorization: Bearer TOKEN'")
TWO_TOKENS = Refusal(Why.WRONG_TOKEN, "there is more than one Authorization header")
NO_BEARER = Refusal(Why.WRONG_TOKEN, "the Authorization header must be 'Bearer TOKEN' with one token")
TOO_LONG = Refusal(Why.WRONG_TOKEN, f"the token is longer than {LONGEST_TOKEN} bytes")


def read_token(found: list[bytes]) -> bytes | Refusal:
    """The token of a request with these Authorization headers."""
    if not found:
        return NO_TOKEN
    if len(found) > 1:
        return TWO_TOKENS
    if len(found[0]) > LONGEST_TOKEN + 16:
        return TOO_LONG
    match = _BEARER.fullmatch(found[0].strip(b" \t"))
    return NO_BEARER if match is None else match[1]


def token_key(token: bytes, audiences: tuple[str, ...]) -> bytes:
    """What stands for a token and its audiences wherever something is kept: the token itself is kept nowhere."""
    return hashlib.sha256("\0".join((*audiences, "")).encode() + token).digest()
