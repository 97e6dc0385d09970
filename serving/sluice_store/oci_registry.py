"""One repository of an OCI registry (distribution specification 1.1): manifests and blobs, with the registry's tokens.

The registry is asked directly: `oras` for Python holds blobs in memory or fetches them without resuming, and knows
nothing of addresses that must not be reached.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, Field, ValidationError, model_validator

from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.manifest import explain
from sluice.uri import ModelUri
from sluice_store.addresses import Guard
from sluice_store.answers import read_answer
from sluice_store.challenges import Challenge, Login, login_for, parse_challenges
from sluice_store.http import by_digest, opener
from sluice_store.oci_manifest import ACCEPTED, Descriptor, Named, chosen, read_manifest
from sluice_store.secret import Secret
from sluice_store.transfer import Open, Part, Transfer, patiently
from sluice_store.web import PORTS, Content, Web, check_status, shown

_DOCKER_HUB = {"docker.io", "index.docker.io"}

_SHORTEST_TOKEN_SECONDS = 60.0
"""What a token lives at least, as Docker's token specification has it."""

_HURRY_SECONDS = 10.0
"""A token is not used in its last seconds: the request takes some of them."""


class _TokenAnswer(BaseModel):
    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]*$")] = ""
    access_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]*$")] = ""
    expires_in: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_one(self) -> _TokenAnswer:
        if not self.token and not self.access_token:
            raise ValueError("neither token nor access_token")
        return self


@dataclass(frozen=True, slots=True)
class _Authorization:
    header: str
    until: float


def registry_of(uri: ModelUri, config: RuntimeConfig) -> Registry:
    """The repository that an oci:// URI names, with the credentials and the endpoint of a pod's settings."""
    secret = Secret(Path(config.credentials_dir))
    login = login_for(uri.location, secret)
    return Registry(uri, login, config.fetching, endpoint=config.store.endpoint, ca=secret.ca)


def base_url(uri: ModelUri, endpoint: str | None = None) -> str:
    """Where the registry's API is: over https, but for loopback and for an endpoint that says http itself."""
    if endpoint:
        return endpoint.rstrip("/")
    if uri.location in _DOCKER_HUB:
        return "https://registry-1.docker.io"
    return f"{'http' if _is_loopback(uri.location) else 'https'}://{uri.location}"


class Registry:
    """A repository, and who we are there. `clock` counts seconds."""

    def __init__(
        self,
        uri: ModelUri,
        login: Login,
        fetching: Fetching,
        *,
        endpoint: str | None = None,
        ca: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = uri.text
        self._base = base_url(uri, endpoint)
        official = uri.location in _DOCKER_HUB and "/" not in uri.path
        self.repository = f"library/{uri.path}" if official else uri.path
        self._login, self._fetching, self._ca, self._clock = login, fetching, ca, clock
        self._web = Web(self._base, fetching, ca=ca)
        self._challenge: Challenge | None = None
        self._known: _Authorization | None = None
        if login.token:
            self._known = _Authorization(f"Bearer {login.token}", float("inf"))

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._web.__exit__()

    def manifest(self, reference: str) -> Named:
        """The manifest of a tag or digest, or the one that is read of an index.

        Raises:
            PackageError: SourceNotFound, SourceForbidden, SourceUnreachable, DigestMismatch or InvalidPackage.
        """
        named = self._manifest(reference)
        if named.manifest.manifests is None:
            return named
        inner = self._manifest(chosen(named.manifest.manifests, self.name).digest)
        if inner.manifest.manifests is not None:
            raise PackageError(Reason.INVALID_PACKAGE, f"{self.name} is an index of indexes; name a manifest's digest")
        return inner

    def digest(self, reference: str) -> str:
        """The digest of what a tag stands for now, index or manifest; raises as `manifest` does."""
        return self._manifest(reference).digest

    def save(self, blob: Descriptor, target: Path, max_bytes: int) -> None:
        """Download a blob, whose digest is checked as it arrives.

        Raises:
            PackageError: why it cannot be had.
        """
        name = f"{self.name} {blob.title or blob.digest[:19]}"
        limit = min(blob.size, max_bytes)
        Transfer(name, self._opener(blob), limit, self._fetching, blob.digest.removeprefix("sha256:")).save(target)

    def ask(
        self,
        method: str,
        path: str,
        expected: tuple[int, ...],
        *,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Content] | None = None,
    ) -> httpx.Response:
        """A small answer of the registry's; `path` is below the repository, or a whole URL that the registry gave.

        Raises:
            PackageError: for a status that is not `expected`.
        """
        url = path if "://" in path else f"{self._base}/v2/{self.repository}/{path}"

        def send() -> httpx.Response:
            response = self._authorized(method, url, headers or {}, content)
            check_status(response, expected, about=f"{self.name} ({method} {shown(path)})")
            return response

        return patiently(self.name, send, self._fetching)

    def _manifest(self, reference: str) -> Named:
        accept = {"Accept": ", ".join(ACCEPTED)}
        response = self.ask("GET", f"manifests/{reference}", (200,), headers=accept)
        return read_manifest(response.content, reference if ":" in reference else None, self.name)

    def _authorized(
        self, method: str, url: str, headers: Mapping[str, str], content: Callable[[], Content] | None
    ) -> httpx.Response:
        def send() -> httpx.Response:
            body = content() if content is not None else None
            return self._web.ask(method, url, headers={**headers, **self._headers()}, content=body)

        response = send()
        if response.status_code != 401 or not self._take_challenge(response):
            return response
        return send()

    def _take_challenge(self, response: httpx.Response) -> bool:
        """Remember how the registry wants to be spoken to; False where we have nothing more to say.

        Whom it only led to may not say where our password is to be sent.
        """
        if not self._web.is_origin(response.url):
            return False
        for challenge in parse_challenges(response.headers.get("www-authenticate", "")):
            if challenge.scheme == "bearer" or (challenge.scheme == "basic" and self._login.basic):
                news = challenge != self._challenge or (self._known is not None and challenge.scheme == "bearer")
                self._challenge, self._known = challenge, None
                return news
        return False

    def _headers(self) -> dict[str, str]:
        if self._known is None or self._clock() >= self._known.until:
            self._known = self._answer_to(self._challenge)
        return {"Authorization": self._known.header} if self._known is not None else {}

    def _answer_to(self, challenge: Challenge | None) -> _Authorization | None:
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            return _Authorization(self._login.basic or "", float("inf"))
        answer = self._token(challenge)
        lifetime = max(answer.expires_in, _SHORTEST_TOKEN_SECONDS) - _HURRY_SECONDS
        return _Authorization(f"Bearer {answer.token or answer.access_token}", self._clock() + lifetime)

    def _token(self, challenge: Challenge) -> _TokenAnswer:
        realm = challenge.parameters.get("realm", "")
        asked = {
            "service": challenge.parameters.get("service", ""),
            "scope": challenge.parameters.get("scope", f"repository:{self.repository}:pull"),
        }
        with Web(realm, self._fetching, ca=self._ca, resolve=self._led_to(realm)) as web:
            response = self._ask_for_token(web, realm, {key: value for key, value in asked.items() if value})
        check_status(response, about=f"the token service of {self.name}")
        try:
            return read_answer(_TokenAnswer, response.content)
        except ValidationError as error:
            raise PackageError(
                Reason.SOURCE_FORBIDDEN, f"the token service of {self.name} answers no token: {explain(error)}"
            ) from error

    def _ask_for_token(self, web: Web, realm: str, asked: dict[str, str]) -> httpx.Response:
        if self._login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": "sluice", "refresh_token": self._login.identity_token}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return web.ask("POST", realm, headers=kind, content=urlencode({**asked, **form}).encode())
        basic = self._login.basic
        who = {"Authorization": basic} if basic is not None else {}
        return web.ask("GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}", headers=who)

    def _led_to(self, realm: str) -> Callable[[str, int], tuple[str, ...]]:
        """Who asks for a token takes our password along: it may be only where the registry itself could lead."""
        origin, scheme = httpx.URL(self._base), realm.partition(":")[0]
        guard = Guard(origin.scheme, origin.host, origin.port or PORTS[origin.scheme])
        return lambda host, port: guard.addresses(scheme, host, port)

    def _opener(self, blob: Descriptor) -> Open:
        url, about = f"{self._base}/v2/{self.repository}/blobs/{blob.digest}", f"{self.name} (blob {blob.digest})"

        def open_at(offset: int, validator: str | None) -> AbstractContextManager[Part]:
            # Asked each time, because a token may not live as long as a download.
            return opener(self._web, url, self._headers(), about=about)(offset, validator)

        return by_digest(open_at, blob.digest)


def _is_loopback(location: str) -> bool:
    host = location.rpartition(":")[0] if not location.endswith("]") and ":" in location else location
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
