"""An identity provider: keys that can be rotated, tokens signed with them, and tokens that look like it."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

ISSUER, AUDIENCE = "https://login.example", "sluice.dev"


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """`handle` is an upstream's handler and serves the keys; `fetched` counts."""

    key: rsa.RSAPrivateKey = field(default_factory=_new_key)
    kid: str = "first"
    fetched: int = 0
    published: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.publish()

    def publish(self) -> None:
        """Show the present key alone."""
        self.published = [RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": self.kid, "alg": "RS256"}]

    def rotate(self, kid: str) -> None:
        self.key, self.kid = _new_key(), kid
        self.publish()

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": self.published})

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def handle(self, _: web.Request) -> web.StreamResponse:
        self.fetched += 1
        return web.Response(text=self.jwks, content_type="application/json")

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a token as it should be; None takes one away."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "dept": "sales", "iat": now, "exp": now + 3600}
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, key: Any = None, kid: str | None = None, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key or self.key, "RS256", headers={"kid": kid or self.kid})

    def by_hand(self, header: dict[str, Any], secret: bytes | None) -> str:
        """A token with a header of one's own: signed with a secret, or not at all."""
        signed = f"{_part(header)}.{_part(self.claims())}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret is not None else b""
        return f"{signed}.{_bare(mac)}"

    def changed(self) -> str:
        """A token whose claims were changed after it was signed."""
        header, _, signature = self.token().split(".")
        return f"{header}.{_part(self.claims(sub='root'))}.{signature}"


def _part(values: dict[str, Any]) -> str:
    return _bare(json.dumps(values).encode())


def _bare(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
