"""What a registry asks for when it says 401, and what is sent back: the token protocol of Docker and OCI registries.

A challenge is written by whoever answered, so it is read as hostile text: a token is fetched only from an address that
the registry itself might lead to, and its answer is bounded.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sluice.failures import PackageError, Reason
from sluice_store.secret import Secret, sendable

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word for a word
_PART = re.compile(
    rf"""[\s,]*(?:(?P<key>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))|(?P<scheme>{_TOKEN}))"""
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to say who one is: a scheme in small letters, and its parameters."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Login:
    """What is known about the caller at one registry. All empty: nobody in particular.

    `token` is sent as it is; `identity_token` is a refresh token, which the registry's token server takes.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str | None:
        """The value of an `Authorization` header, or None without a name."""
        if not self.username:
            return None
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def parse_challenges(header: str) -> list[Challenge]:
    """Read a `WWW-Authenticate` header (RFC 9110, 11.6.1); what comes after something unreadable is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while part := _PART.match(header, position):
        position = part.end()
        if part["scheme"] is not None:
            found.append((part["scheme"].lower(), {}))
        elif found:
            found[-1][1][part["key"].lower()] = _value(part)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def login_for(host: str, secret: Secret) -> Login:
    """Who to be at `host`: by the `.dockerconfigjson` of a Secret, its `username` and `password`, or its `token`.

    `config.json` is what Docker calls the first of them at home.

    Raises:
        PackageError: InvalidConfig for a Docker configuration that is none, SourceForbidden for a token that cannot be.
    """
    text = secret.get(".dockerconfigjson", "config.json")
    if text is not None:
        return _from_docker(host, text)
    return Login(secret.get("username") or "", secret.get("password") or "", sendable(secret.get("token") or ""))


def _value(part: re.Match[str]) -> str:
    quoted: str | None = part["quoted"]
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else part["plain"]


def _from_docker(host: str, text: str) -> Login:
    try:
        entries = json.loads(text).get("auths", {})
        for address, entry in entries.items():
            if _host_of(address) == _canonical(host):
                return _login(entry)
    except (ValueError, AttributeError, TypeError) as error:
        raise PackageError(
            Reason.INVALID_CONFIG,
            f"the .dockerconfigjson of spec.model.credentials is no Docker configuration: {error}",
        ) from error
    return Login()


def _login(entry: Mapping[str, str]) -> Login:
    pair = base64.b64decode(entry.get("auth", ""), validate=True).decode()
    username, _, password = pair.partition(":")
    return Login(
        entry.get("username", username),
        entry.get("password", password.rstrip("\0")),
        sendable(entry.get("registrytoken", "")),
        sendable(entry.get("identitytoken", "")),
    )


def _host_of(address: str) -> str:
    """Docker wrote `https://index.docker.io/v1/` for its own registry, and plain hosts for others."""
    return _canonical(urlsplit(address if "//" in address else f"//{address}").netloc)


def _canonical(host: str) -> str:
    host = host.lower()
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host
