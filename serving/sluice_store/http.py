"""Archives over HTTP: anything that answers GET is a store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from sluice.archive import extract_archive
from sluice.config import RuntimeConfig
from sluice.uri import ModelUri
from sluice_store.secret import Secret
from sluice_store.transfer import ChangedError, Open, Part, Transfer
from sluice_store.web import Bearer, Web, check_status, shown

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Download an archive and unpack it."""
    archive, limit = folder.parent / "archive", config.limits.max_package_bytes
    secret = Secret(Path(config.credentials_dir))
    with Web(uri.text, config.fetching, auth=auth_of(secret), ca=secret.ca) as web:
        Transfer(shown(uri.text), opener(web, uri.text), limit, config.fetching).save(archive)
    extract_archive(archive, folder, limit)


def auth_of(secret: Secret) -> httpx.Auth | None:
    """Key `token` (bearer) or `username` and `password` (basic); None where the Secret holds neither."""
    token, user = secret.get("token"), secret.get("username")
    if token is not None:
        return Bearer(token)
    return None if user is None else httpx.BasicAuth(user, secret.get("password") or "")


def opener(web: Web, url: str, headers: dict[str, str] | None = None, *, about: str | None = None) -> Open:
    """How a file behind a URL is asked for from an offset on. `about`: its name in messages, in place of the URL."""

    @contextmanager
    def open_at(offset: int, validator: str | None) -> Iterator[Part]:
        with web.stream("GET", url, headers={**(headers or {}), **_range(offset, validator)}) as response:
            if offset and response.status_code in (412, 416):
                raise ChangedError("it has no such bytes any more")
            check_status(response, (200, 206) if offset else (200,), about=about)
            yield _part(response)

    return open_at


def by_digest(open_at: Open, sha256: str) -> Open:
    """The same for a file that is known by its digest: any mirror may go on with it, whatever ETag it has for it."""
    # Weak, so that nobody is asked whether it is still theirs.
    same_always = f'W/"{sha256}"'

    @contextmanager
    def open_any(offset: int, _: str | None) -> Iterator[Part]:
        with open_at(offset, same_always) as part:
            yield replace(part, validator=same_always)

    return open_any


def _range(offset: int, validator: str | None) -> dict[str, str]:
    if not offset or validator is None:
        return {}
    # A weak ETag may not stand here (RFC 9110, 13.1.5): what comes is compared with it instead.
    condition = {} if validator.startswith("W/") else {"If-Range": validator}
    return {"Range": f"bytes={offset}-", **condition}


def _part(response: httpx.Response) -> Part:
    headers = response.headers
    validator = headers.get("etag") or headers.get("last-modified")
    chunks = response.iter_raw()  # as they come: what a buffer holds is lost in a cut
    if response.status_code == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if found is None:
            raise ChangedError("it answered with a part, and did not say which")
        total = None if found[2] == "*" else int(found[2])
        return Part(chunks, int(found[1]), total, validator)
    length = headers.get("content-length", "")
    return Part(chunks, 0, int(length) if length.isdecimal() else None, validator)
