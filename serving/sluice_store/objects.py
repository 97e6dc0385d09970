"""Object stores: s3://, gs:// and az://, their own servers and those that speak the same protocol elsewhere.

An archive is one object; a folder is whatever lies under a prefix. Each object is read through `transfer`, so that a
package of many files survives the same cuts as one of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from sluice.archive import MAX_MEMBERS, extract_archive
from sluice.config import Fetching, RuntimeConfig
from sluice.digest import check_name
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri
from sluice_store.object_clients import ObjectClient, object_client
from sluice_store.progress import size
from sluice_store.secret import Secret
from sluice_store.transfer import CHUNK_BYTES, ChangedError, Open, Part, Transfer, TransientError, patiently

_STATUS = re.compile(r"status code: (\d{3})")
_TRY_AGAIN = frozenset({408, 425, 429})


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Bring an archive and unpack it, or each object under a prefix."""
    client = object_client(uri, config.store.endpoint, Secret(Path(config.credentials_dir)), config.fetching)
    limit = config.limits.max_package_bytes
    if uri.is_archive:
        archive = folder.parent / "archive"
        _transfer(client, uri, uri.path, limit, config.fetching).save(archive)
        extract_archive(archive, folder, limit)
    else:
        _fetch_folder(client, uri, limit, config.fetching, folder)


def _transfer(client: ObjectClient, uri: ModelUri, key: str, max_bytes: int, fetching: Fetching) -> Transfer:
    return Transfer(f"{uri.scheme}://{uri.location}/{key}", opener(client, uri, key), max_bytes, fetching)


def _fetch_folder(client: ObjectClient, uri: ModelUri, max_bytes: int, fetching: Fetching, folder: Path) -> None:
    names = patiently(uri.text, lambda: _listed(client, uri, max_bytes), fetching)
    if not names:
        message = f"nothing is under {uri.text}/; check the bucket and the prefix, or write the key of an archive"
        raise PackageError(Reason.SOURCE_NOT_FOUND, message)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        max_bytes -= _transfer(client, uri, f"{uri.path}/{name}", max_bytes, fetching).save(folder / name)


def _listed(client: ObjectClient, uri: ModelUri, max_bytes: int) -> list[str]:
    """Names below the prefix, bounded in number and in bytes together before anything is fetched."""
    sizes: dict[str, int] = {}
    with _explained(uri, uri.path):
        for batch in obstore.list(client, uri.path, chunk_size=1000):
            for entry in batch:
                name = _relative(uri, entry["path"])
                if name:
                    sizes[name] = entry["size"]
            if len(sizes) > MAX_MEMBERS:
                raise PackageError(Reason.UNSAFE_ARCHIVE, f"{uri.text} holds more than {MAX_MEMBERS} objects")
            if sum(sizes.values()) > max_bytes:
                message = f"{uri.text} is larger than {max_bytes} bytes ({size(max_bytes)}); raise spec.model.maxSize"
                raise PackageError(Reason.PACKAGE_TOO_LARGE, message)
    return _without_markers(sizes)


def _relative(uri: ModelUri, path: str) -> str:
    name = path.removeprefix(uri.path).lstrip("/")
    check_name(name)
    if not path.startswith(uri.path) or ".." in PurePosixPath(name).parts:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{path!r} leads out of {uri.text}")
    return name


def _without_markers(sizes: dict[str, int]) -> list[str]:
    """Some tools leave an empty object for each folder, which has the folder's name."""
    folders = {str(parent) for name in sizes for parent in PurePosixPath(name).parents}
    return [name for name, count in sorted(sizes.items()) if count or name not in folders]


def opener(client: ObjectClient, uri: ModelUri, key: str) -> Open:
    """How an object is asked for from an offset on."""

    @contextmanager
    def open_at(offset: int, validator: str | None) -> Iterator[Part]:
        options: obstore.GetOptions = {}
        if offset:
            options = {"range": {"offset": offset}, "if_match": validator}
        with _explained(uri, key):
            answer = obstore.get(client, key, options=options)
            meta = answer.meta
            yield Part(
                answer.stream(min_chunk_size=CHUNK_BYTES),
                answer.range[0],
                meta["size"],
                meta["e_tag"] or meta["version"],
            )

    return open_at


@contextmanager
def _explained(uri: ModelUri, key: str) -> Iterator[None]:
    """What the library raises, as what it means."""
    name = f"{uri.scheme}://{uri.location}/{key}"
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(name) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _forbidden(name) from error
    except PreconditionError as error:
        raise ChangedError("its ETag is another one now") from error
    except BaseError as error:
        raise _by_status(name, error) from error


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
    line = str(error).partition("\n")[0].partition(": <")[0]
    return re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", line)[:500]
