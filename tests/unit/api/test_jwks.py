"""Which keys of a JWKS a router is given: those that it can read, whatever stands beside them."""

import json
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from sluice_operator.api.access import URL_PATTERN
from sluice_operator.api.jwks import public_keys

RSA_KEY: dict[str, Any] = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
RSA_KEY = {name: RSA_KEY[name] for name in ("kty", "n", "e")}
P256 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
P521 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP521R1()).public_key(), as_dict=True)
ED25519 = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)


def given(*keys: object) -> list[dict[str, str]]:
    return public_keys(json.dumps({"keys": keys}))


@pytest.mark.parametrize(
    "key",
    [
        *(RSA_KEY, P256, P384, P521, ED25519, RSA_KEY | {"alg": "PS384", "kid": "a"}, P384 | {"alg": "ES384"}),
        *(ED25519 | {"alg": "EdDSA"}, RSA_KEY | {"n": RSA_KEY["n"] + "=="}),
    ],
)
def test_a_public_key_that_is_whole_is_given_whatever_else_is_there(key: dict[str, str]) -> None:
    assert given({"kty": "RSA"}, "x", key, None) == [key]


def test_what_belongs_to_no_key_is_left_out() -> None:
    assert given(RSA_KEY | {"use": "sig", "x5c": ["..."], "kid": 1}) == [RSA_KEY]


WRONG = [
    *({}, {"kty": ["RSA"]}, {"kty": "RSA"}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "!!", "e": "AQAB"}),
    *({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, RSA_KEY | {"n": "AA" + RSA_KEY["n"]}, RSA_KEY | {"n": 5}),
    *(RSA_KEY | {"n": RSA_KEY["n"].replace("_", "/") + "/"}, RSA_KEY | {"n": "_" * 4000}),
    *(RSA_KEY | {"e": wrong} for wrong in ("", "AA", "AQ", "Ag", "AQAAAAAB", "é")),
    *(RSA_KEY | {"alg": wrong} for wrong in ("HS256", "ES256", "RSA-OAEP", 1, ["RS256"])),
    *({name: P256[name] for name in P256 if name != left} for left in ("crv", "x", "y")),
    *(P256 | wrong for wrong in ({"x": P256["y"]}, {"x": "AQ"}, {"crv": "P-384"}, {"crv": "secp256k1"})),
    *(P256 | wrong for wrong in ({"alg": "ES384"}, {"crv": ["P-256"]}, {"kty": "RSA"}, {"x": "_" * 43})),
    *(ED25519 | wrong for wrong in ({"crv": "X25519"}, {"x": "AQAB"}, {"alg": "ES256"})),
    RSA_KEY | {"kid": "\ud800"},
]


@pytest.mark.parametrize("key", WRONG)
def test_a_key_that_is_none_is_not_given(key: dict[str, Any]) -> None:
    assert given(key) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "1", "null", '{"keys": {}}', '{"keys": null}', "[" * 60_000),
        f'{{"keys": [{{"kty": "o\\u0063t", "k": "AAAA"}}, {"1" * 5000}]}}',
    ],
)
def test_a_text_that_is_no_jwks_has_no_keys(text: str) -> None:
    assert public_keys(text) == []


def test_a_url_of_keys_has_a_port_that_there_is() -> None:
    taken = [port for port in range(100_000) if re.search(URL_PATTERN, f"https://login.example:{port}/keys")]
    assert taken == list(range(1, 65536))
    assert not re.search(URL_PATTERN, "https://login.example:080/keys")
    assert re.search(URL_PATTERN, "https://login.example/keys")
