"""The keys of a JWKS that a router can read. It refuses a configuration in which it finds none, and goes on with that
before; so what it is given is looked at first, by its rules or stricter ones, and written anew.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Key = dict[str, str]

_RSA_ALGORITHMS = {f"{family}{bits}" for family in ("RS", "PS") for bits in (256, 384, 512)}
_RSA_BITS = range(1024, 8193)
_EXPONENTS = range(3, 1 << 33, 2)
_ED25519_BYTES = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")

# Name: algorithm, bytes of a coordinate, p and b of y² = x³ - 3x + b (FIPS 186-4, D.1.2).
_CURVES = {
    "P-256": (
        "ES256",
        32,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    "P-384": (
        "ES384",
        48,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "P-521": (
        "ES512",
        66,
        2**521 - 1,
        0x51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}


def public_keys(text: str) -> list[Key]:
    """The public keys (RSA, EC, Ed25519) that are whole and that every router reads; others are left out, and symmetric
    ones, however they are spelt: whoever can read the spec could sign with them.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    keys = found.get("keys") if isinstance(found, dict) else None
    known = (_key(key) for key in keys if isinstance(key, dict)) if isinstance(keys, list) else ()
    return [key for key in known if key]


def _key(found: Mapping[str, Any]) -> Key | None:
    kind = _KINDS.get(str(found.get("kty")))
    try:
        names = kind(found) if kind else ()
        str(found.get("kid")).encode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    told = ("kty", "kid", *names, "alg")
    return {name: found[name] for name in told if isinstance(found.get(name), str)} if names else None


def _rsa(key: Mapping[str, Any]) -> tuple[str, ...]:
    modulus = _number(key["n"])
    if modulus % 2 == 0 or modulus.bit_length() not in _RSA_BITS or _number(key["e"]) not in _EXPONENTS:
        raise ValueError("no RSA key")
    _for(key, _RSA_ALGORITHMS)
    return "n", "e"


def _ec(key: Mapping[str, Any]) -> tuple[str, ...]:
    algorithm, size, p, b = _CURVES[key["crv"]]
    x, y = (int.from_bytes(_decoded(key[name], size)) for name in ("x", "y"))
    if max(x, y) >= p or (y * y - (x**3 - 3 * x + b)) % p:
        raise ValueError("no point of the curve")
    _for(key, {algorithm})
    return "crv", "x", "y"


def _okp(key: Mapping[str, Any]) -> tuple[str, ...]:
    if key["crv"] != "Ed25519":
        raise ValueError("a curve that no router knows")
    _decoded(key["x"], _ED25519_BYTES)
    _for(key, {"EdDSA"})
    return "crv", "x"


_KINDS: dict[str, Callable[[Mapping[str, Any]], tuple[str, ...]]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}


def _for(key: Mapping[str, Any], algorithms: set[str]) -> None:
    if key.get("alg") is not None and key["alg"] not in algorithms:
        raise ValueError("a key for something else")


def _number(text: str) -> int:
    data = _decoded(text)
    if data[0] == 0:
        raise ValueError("a number begins with zeros")
    return int.from_bytes(data)


def _decoded(text: str, size: int | None = None) -> bytes:
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    bare = text.rstrip("=")
    data = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    if not data or size not in (None, len(data)):
        raise ValueError("too short or too long")
    return data
