"""Archives over HTTP: bounded in size, patient with transient faults, clear about permanent ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import httpx

from sluice.archive import extract_archive
from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 10.0


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Download an archive and unpack it."""
    archive = folder.parent / "archive"
    limit = config.limits.max_package_bytes
    Download(uri.text, limit, config.fetching, credentials(Path(config.credentials_dir))).save(archive)
    extract_archive(archive, folder, limit)


class _TransientError(Exception):
    """An answer that may be better next time."""


@dataclass(frozen=True, slots=True)
class Download:
    """What to fetch, and how long to try. `auth` is None for an open server."""

    url: str
    max_bytes: int
    fetching: Fetching
    auth: httpx.Auth | None = None
    sleep: Callable[[float], None] = time.sleep

    def save(self, target: Path) -> None:
        """Write the body to `target`; retried from its start after a transient fault.

        Raises:
            PackageError: SourceNotFound, SourceForbidden, SourceUnreachable or PackageTooLarge.
        """
        problem: Exception | None = None
        for attempt in range(self.fetching.attempts):
            if problem is not None:
                log.warning("download failed, trying again: %s", problem)
                self.sleep(min(self.fetching.backoff_seconds * 2 ** (attempt - 1), MAX_BACKOFF_SECONDS))
            try:
                return self._attempt(target)
            except (httpx.TransportError, httpx.TooManyRedirects, _TransientError) as error:
                problem = error
        raise PackageError(Reason.SOURCE_UNREACHABLE, self._unreachable(problem)) from problem

    def _attempt(self, target: Path) -> None:
        # Identity: a server that compresses on the fly would otherwise defeat the length check.
        headers = {"Accept-Encoding": "identity", "User-Agent": "sluice"}
        with (
            httpx.Client(timeout=self.fetching.timeout_seconds, follow_redirects=True, max_redirects=5) as client,
            client.stream("GET", self.url, headers=headers, auth=self.auth) as response,
        ):
            self._check_status(response.status_code)
            self._check_size(int(response.headers.get("content-length", 0)))
            self._write(response, target)

    def _write(self, response: httpx.Response, target: Path) -> None:
        received = 0
        with open(target, "wb") as file:
            for chunk in response.iter_raw():
                received += len(chunk)
                self._check_size(received)
                file.write(chunk)

    def _check_status(self, status: int) -> None:
        if status in (401, 403):
            raise PackageError(
                Reason.SOURCE_FORBIDDEN,
                f"{self.url} answered {status}; check the Secret named in spec.model.credentials",
            )
        if status in (408, 425, 429) or status >= 500:
            raise _TransientError(f"the server answered {status}")
        if status != 200:
            raise PackageError(Reason.SOURCE_NOT_FOUND, f"{self.url} answered {status}; check spec.model.uri")

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise PackageError(
                Reason.PACKAGE_TOO_LARGE, f"{self.url} is larger than {self.max_bytes} bytes; raise the limit"
            )

    def _unreachable(self, problem: Exception | None) -> str:
        attempts = self.fetching.attempts
        return f"{self.url} could not be read in {attempts} attempts: {problem!r}; check the address and the network"


def credentials(folder: Path) -> httpx.Auth | None:
    """HTTP credentials from a mounted Secret: key `token` (bearer) or `username` and `password` (basic)."""
    values = {
        key: (folder / key).read_text(encoding="utf-8").strip()
        for key in ("token", "username", "password")
        if (folder / key).is_file()
    }
    if "token" in values:
        return _Bearer(values["token"])
    if "username" in values:
        return httpx.BasicAuth(values["username"], values.get("password", ""))
    return None


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
