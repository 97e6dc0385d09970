"""Object stores: s3://, gs:// and az://, their own servers and those that speak the same protocol elsewhere.

An archive is one object; a folder is whatever lies under a prefix. Each object is read through `transfer`, so that a
package of many files survives the same cuts as one of one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from sluice.archive import MAX_MEMBERS, extract_archive
from sluice.config import Fetching, RuntimeConfig
from sluice.digest import check_name
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri
from sluice_store.gate import Gate, gate_before
from sluice_store.object_clients import ObjectClient, object_client
from sluice_store.progress import size
from sluice_store.secret import Secret
from sluice_store.transfer import UNTRUSTED, ChangedError, Open, Part, Transfer, TransientError, patiently

LISTING_SECONDS = 600.0
"""For a whole listing: a store may name a next page, with nothing on it, for ever, or give a byte at a time."""

_STATUS = re.compile(r"status code: (\d{3})")
_TRY_AGAIN = frozenset({408, 425, 429})


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Bring an archive and unpack it, or each object under a prefix."""
    secret, limit = Secret(Path(config.credentials_dir)), config.limits.max_package_bytes
    with gate_before(config.store.endpoint, config.fetching.timeout_seconds) as gate:
        proxy = None if gate is None else gate.url
        client = object_client(uri, config.store.endpoint, secret, config.fetching, proxy=proxy)
        bucket = Bucket(client, uri, config.fetching, gate)
        if uri.is_archive:
            bucket.fetch(uri.path, limit, folder.parent / "archive")
            extract_archive(folder.parent / "archive", folder, limit)
        else:
            bucket.fetch_folder(limit, folder)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket or container of a URI, and how it is asked. `gate`: what its requests go through, if anything."""

    client: ObjectClient
    uri: ModelUri
    fetching: Fetching
    gate: Gate | None = None
    listing_seconds: float = LISTING_SECONDS

    def fetch(self, key: str, max_bytes: int, target: Path) -> int:
        """Write an object to a file and return its size; raises as `Transfer.save` does."""
        return Transfer(self._name(key), self.opener(key), max_bytes, self.fetching).save(target)

    def fetch_folder(self, max_bytes: int, folder: Path) -> None:
        """Write every object below the URI's prefix into a folder, `max_bytes` of them at most."""
        names = patiently(self.uri.text, lambda: self._listed(max_bytes), self.fetching)
        if not names:
            message = f"nothing is under {self.uri.text}; check the bucket and the prefix, or write an archive's key"
            raise PackageError(Reason.SOURCE_NOT_FOUND, message)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            max_bytes -= self.fetch(f"{self.uri.path}/{name}", max_bytes, folder / name)

    def _listed(self, max_bytes: int) -> list[str]:
        """Names below the prefix, bounded in number and in bytes together before anything is fetched."""
        try:
            with self._explained(self.uri.path):
                return _files(self.uri, asyncio.run(self._sizes(max_bytes)))
        except TimeoutError as error:
            message = f"{self.uri.text} was not listed in {self.listing_seconds:.0f} s; pack an archive of it"
            raise PackageError(Reason.SOURCE_UNREACHABLE, message) from error

    async def _sizes(self, max_bytes: int) -> dict[str, int]:
        sizes: dict[str, int] = {}
        listed = 0
        # Only here can the library be told to stop.
        async with asyncio.timeout(self.listing_seconds):
            async for batch in obstore.list(self.client, self.uri.path, chunk_size=1000):
                sizes.update((_relative(self.uri, entry["path"]), entry["size"]) for entry in batch)
                listed += len(batch)  # a server that says the same names again and again never ends
                _check_bounds(self.uri, listed, sum(sizes.values()), max_bytes)
        return sizes

    def opener(self, key: str) -> Open:
        """How an object is asked for from an offset on."""

        @contextmanager
        def open_at(offset: int, validator: str | None) -> Iterator[Part]:
            options: obstore.GetOptions = {}
            if offset:
                options = {"range": {"offset": offset}, "if_match": validator}
            with self._explained(key):
                answer = obstore.get(self.client, key, options=options)
                # As they come: what is gathered first hides a line that drips, and is lost in a cut.
                chunks, meta = answer.stream(min_chunk_size=1), answer.meta
                yield Part(chunks, answer.range[0], meta["size"], meta["e_tag"] or meta["version"])

        return open_at

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """What the library raises, as what it means."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            if self.gate is not None and self.gate.refusal is not None:
                raise self.gate.refusal from error
            raise _meaning(self._name(key), error) from error

    def _name(self, key: str) -> str:
        return f"{self.uri.scheme}://{self.uri.location}/{key}"


def _check_bounds(uri: ModelUri, objects: int, total: int, max_bytes: int) -> None:
    if objects > MAX_MEMBERS:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{uri.text} holds more than {MAX_MEMBERS} objects; pack an archive")
    if total > max_bytes:
        message = f"{uri.text} is larger than {max_bytes} bytes ({size(max_bytes)}); raise spec.model.maxSize"
        raise PackageError(Reason.PACKAGE_TOO_LARGE, message)


def _relative(uri: ModelUri, path: str) -> str:
    name = path.removeprefix(uri.path).lstrip("/")
    check_name(name)
    if not path.startswith(uri.path) or ".." in PurePosixPath(name).parts:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{path!r} leads out of {uri.text}")
    return name


def _files(uri: ModelUri, sizes: dict[str, int]) -> list[str]:
    """Names that are files. Some tools leave an empty object for each folder, which has the folder's name."""
    folders = {"", *(str(parent) for name in sizes for parent in PurePosixPath(name).parents)}
    names = sorted(name for name, count in sizes.items() if count or name not in folders)
    both = next((name for name in names if name in folders), None)
    if both is not None:
        message = f"{uri.text} has {both!r} as an object and as a folder; no file system holds both, so rename one"
        raise PackageError(Reason.UNSAFE_ARCHIVE, message)
    return names


def _meaning(name: str, error: BaseError | FileNotFoundError) -> Exception:
    if isinstance(error, FileNotFoundError):
        return _missing(name)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return _forbidden(name)
    if isinstance(error, PreconditionError):
        return ChangedError("its ETag is another one now")
    return _by_status(name, error)


def _by_status(name: str, error: BaseError) -> Exception:
    told = told_by(error)
    found = _STATUS.search(told)
    status = int(found[1]) if found else 0
    if status == 416:
        return ChangedError("it has no such bytes any more")
    if status in (401, 403):
        return _forbidden(name)
    if status == 404:
        return _missing(name)
    if status in (301, 307, 400):
        message = f"{name}: {told}; check the region, the endpoint and the credentials"
        return PackageError(Reason.SOURCE_FORBIDDEN, message)
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return PackageError(Reason.SOURCE_NOT_FOUND, f"{name}: {told}; check spec.model.uri")
    return TransientError(told)


def _missing(name: str) -> PackageError:
    message = f"{name} does not exist; check the bucket and the key in spec.model.uri"
    return PackageError(Reason.SOURCE_NOT_FOUND, message)


def _forbidden(name: str) -> PackageError:
    message = f"{name} may not be read; check the Secret or the service account in spec.model.credentials"
    return PackageError(Reason.SOURCE_FORBIDDEN, message)


def told_by(error: BaseError) -> str:
    """What the library says, without its debug output, pages of XML, and queries: signatures travel in those."""
    line = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", str(error).partition("\n")[0].partition(": <")[0])[:500]
    # Only the debug output says why no connection came about.
    return f"{line}: {UNTRUSTED}" if "InvalidCertificate" in str(error) else line
