"""What can be told of a token without asking: every way in which one can be wrong by itself ends here."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.tokens import KeyRing, Looked, UnknownKey, look, read_keys, unverified_expiry
from unit.authorizer.parts import ISSUER, NOW, claims, key_set, private_key, ring, token, unsigned

WANTED = ("sluice.dev", "other.example")


def looked(found: bytes, now: float = NOW) -> Looked | Refusal | UnknownKey:
    return look(found, WANTED, ring(), now)


@pytest.mark.parametrize("audience", ["sluice.dev", ["sluice.dev"], ["a", "other.example"], ["sluice.dev", 5, None]])
def test_a_token_that_the_cluster_has_signed_names_its_owner(audience):
    assert looked(token(aud=audience)) == Looked("system:serviceaccount:shop:app", NOW + 600)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": None},
        {"aud": []},
        {"aud": "kubernetes"},
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": "sluice.dev other.example"},
        {"aud": {"sluice.dev": True}},
        {"aud": 5},
        {"exp": None},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": "never"},
        {"exp": True},
        {"exp": -1},
        {"nbf": NOW + 61},
        {"nbf": "now"},
    ],
)
def test_a_token_for_somebody_else_or_another_time_is_wrong(changed):
    found = looked(token(**changed))
    assert isinstance(found, Refusal)
    assert found.why is Why.WRONG_TOKEN


def test_a_clock_that_is_a_little_ahead_is_no_reason():
    assert isinstance(looked(token(nbf=NOW + 30)), Looked)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", None, 5, ["ES256"], "RS1"])
@pytest.mark.parametrize("issuer", [ISSUER, "https://elsewhere"])
def test_a_token_without_a_real_signature_is_wrong_whoever_issued_it(algorithm, issuer):
    found = looked(unsigned({"alg": algorithm, "kid": "one"}, "c2ln", iss=issuer))
    assert isinstance(found, Refusal)
    assert found.why is Why.WRONG_TOKEN


def test_a_public_key_is_no_secret():
    public = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = unsigned({"alg": "HS256", "kid": "one"}).rpartition(b".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(public, head, hashlib.sha256)).rstrip(b"=")
    assert isinstance(looked(head + b"." + signature), Refusal)


def test_another_algorithm_than_the_keys_own_is_wrong():
    assert isinstance(looked(unsigned({"alg": "RS256", "kid": "one"}, "c2ln")), Refusal)


def test_each_changed_part_breaks_the_signature():
    head, body, signature = token().split(b".")
    other = base64.urlsafe_b64encode(json.dumps(claims(sub="admin")).encode()).rstrip(b"=")
    assert isinstance(looked(b".".join((head, other, signature))), Refusal)
    assert isinstance(looked(b".".join((head, body, signature[::-1]))), Refusal)
    assert isinstance(looked(b".".join((head, body, b""))), Refusal)
    assert isinstance(looked(token(key="two", kid="one")), Refusal)


def test_a_key_that_is_not_on_the_ring_is_unknown():
    assert looked(token(key="two")) == UnknownKey()


def test_another_issuers_token_is_for_the_api_server_to_judge():
    assert looked(token(iss="https://login.example")) == Looked(None, NOW + 600)
    assert isinstance(looked(token(iss="https://login.example", exp=NOW - 1)), Refusal)


@pytest.mark.parametrize("found", [b"opaque", b"abcdef.0123456789abcdef", b"a.b.c.d.e", b"..", b"a.b.c", b"e30.e30"])
def test_a_token_of_another_form_is_for_the_api_server_to_judge(found):
    assert looked(found) == Looked(None, None)


def test_without_keys_nothing_is_said_of_signatures():
    assert look(token(), WANTED, KeyRing(), NOW) == Looked(None, NOW + 600)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_no_token_is_too_strange(parts):
    found = looked(b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts))
    assert not isinstance(found, Looked) or found.subject is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4))
def test_no_claim_is_too_strange(value):
    for name in ("exp", "nbf", "aud", "iss", "sub"):
        found = looked(token(**{name: value}))
        assert not isinstance(found, Looked) or found.expires is None or found.expires > NOW


def test_keys_that_cannot_verify_are_left_out():
    secret: dict[str, Any] = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"}
    nameless = {name: value for name, value in key_set("one")["keys"][0].items() if name != "kid"}
    found = read_keys({"issuer": ISSUER}, {"keys": [secret, nameless, {"kty": "?"}, {}, *key_set("two")["keys"]]})
    assert list(found.keys) == ["two"]


def test_rsa_keys_are_the_usual_ones():
    key = rsa.generate_private_key(65537, 2048)
    keys = read_keys(
        {"issuer": ISSUER}, {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "r"}]}
    )
    signed = jwt.encode(claims(), key, "RS256", headers={"kid": "r"}).encode()
    assert look(signed, WANTED, keys, NOW) == Looked("system:serviceaccount:shop:app", NOW + 600)


def test_the_end_of_an_accepted_token_is_known_where_it_says_so():
    assert unverified_expiry(token(exp=NOW + 5)) == NOW + 5
    assert unverified_expiry(token(exp="soon")) is None
    assert unverified_expiry(b"opaque") is None
