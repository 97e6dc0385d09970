"""What can be told of a token without asking anybody: whether the cluster's own keys signed it, for whom, until when.

Tokens of service accounts are JWTs of the cluster's issuer, so a flood of invented ones ends here. A token of another
form, or of another issuer, may be good all the same (OIDC, a webhook), which only the API server knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
from jwt import PyJWK
from jwt.utils import base64url_decode

from sluice_authorizer.outcomes import Refusal, Why

ASYMMETRIC = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
)
"""A public key must never serve as the secret of a symmetric algorithm, and `none` is no signature."""

_CLOCKS_DIFFER_SECONDS = 60.0
"""By so much a token may come from the future: the clocks of two machines differ. An expired one is expired."""

_AGE_SECONDS = 10.0
"""A token that is wrong by itself stays so; it is looked at again for the sake of a clock that was set."""

_UNSIGNED: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}
"""The library checks the signature; the claims are compared here, with a clock that is an argument."""


@dataclass(frozen=True)
class KeyRing:
    """The cluster's issuer and its public keys by their identifiers."""

    issuer: str = ""
    keys: Mapping[str, PyJWK] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """`subject`: whose token it is, where the cluster's keys have signed it, else None. `expires`: Unix time."""

    subject: str | None
    expires: float | None


@dataclass(frozen=True)
class UnknownKey:
    """The cluster's issuer is said to have signed it with a key that is not on the ring."""


def read_keys(configuration: Mapping[str, Any], key_set: Mapping[str, Any]) -> KeyRing:
    """The ring from the API server's own discovery documents. Keys that cannot verify anything are left out."""
    keys = {}
    for item in key_set.get("keys", ()):
        try:
            key = PyJWK(item)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if key.algorithm_name in ASYMMETRIC and key.key_id:
            keys[key.key_id] = key
    return KeyRing(str(configuration.get("issuer", "")), keys)


def look(token: bytes, audiences: tuple[str, ...], ring: KeyRing, now: float) -> Looked | Refusal | UnknownKey:
    """What the token says of itself, as far as it can be believed. `now`: Unix time."""
    parts = token.split(b".")
    header = _object(parts[0]) if len(parts) == 3 else None
    if header is None:
        return Looked(None, None)
    claims = _object(parts[1])
    if claims is None or str(header.get("alg")) not in ASYMMETRIC:
        return wrong("the token is a JWT without a signature that could be checked, or without claims")
    untimely = _untimely(claims, now)
    if untimely is not None:
        return untimely
    if not ring.keys or claims.get("iss") != ring.issuer:
        return Looked(None, expiry(claims))
    key = ring.keys.get(str(header.get("kid")))
    if key is None:
        return UnknownKey()
    return _verified(token, key, claims, audiences)


def _verified(token: bytes, key: PyJWK, claims: Mapping[str, Any], audiences: tuple[str, ...]) -> Looked | Refusal:
    try:
        jwt.decode(token, key, algorithms=[key.algorithm_name], options=_UNSIGNED)
    except jwt.PyJWTError:
        return wrong("the token's signature is not that of the cluster")
    if "exp" not in claims:
        return wrong("the token never expires; use one that does")
    if not set(audiences) & _audiences(claims):
        return wrong(f"the token is for another audience; ask for one for {' or '.join(audiences)}")
    return Looked(str(claims.get("sub")), expiry(claims))


def expiry(claims: Mapping[str, Any]) -> float | None:
    """Unix time from which the token is worth nothing."""
    return None if "exp" not in claims else float(claims["exp"])


def unverified_expiry(token: bytes) -> float | None:
    """When a token that the API server has accepted expires, if it is one that says so."""
    parts = token.split(b".")
    claims = _object(parts[1]) if len(parts) == 3 else None
    return expiry(claims) if claims is not None and _is_time(claims.get("exp")) else None


def wrong(text: str) -> Refusal:
    """A refusal of the token for what it is."""
    return Refusal(Why.WRONG_TOKEN, text, _AGE_SECONDS)


def _untimely(claims: Mapping[str, Any], now: float) -> Refusal | None:
    if not all(_is_time(claims[name]) for name in ("exp", "nbf") if name in claims):
        return wrong("the token's times are no numbers")
    if "exp" in claims and claims["exp"] <= now:
        return wrong("the token has expired")
    if "nbf" in claims and claims["nbf"] > now + _CLOCKS_DIFFER_SECONDS:
        # It may be good in a moment.
        return Refusal(Why.WRONG_TOKEN, "the token is not valid yet")
    return None


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # one of the two


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    """RFC 7519, 4.1.3: a list of texts, or one text alone."""
    found = claims.get("aud")
    if isinstance(found, str):
        return {found}
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()


def _object(part: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(base64url_decode(part))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
