"""Publishes a package: under a name that nobody else can take, and only once the store has given it back unchanged."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from pydantic import ValidationError

from sluice.archive import write_archive
from sluice.package import Package, opened
from sluice.uri import parse_uri
from sluice_store.errors import StoreError, told
from sluice_store.oci_push import push_package, registry_at_home
from sluice_store.places import Place, check_writable, open_place
from sluice_store.published import ARCHIVE, DESCRIPTION, MAX_DESCRIPTION_BYTES, Description, describe
from sluice_store.signatures import SIGNATURE_FILE

PIECE = 8 * 1024**2
"""Bytes of a part of an upload, and of a piece that is read back; S3 takes 10,000 parts, so 80 GB."""

_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a package lies now. `new` is False where the same one lay there already."""

    uri: str
    digest: str
    new: bool = True


def push(source: Path, store: str, *, endpoint: str | None = None, force: bool = False) -> Pushed:
    """Publish a package's folder or archive as STORE/NAME/VERSION.tar.gz; pushing the same again changes nothing.

    Raises:
        StoreError: another package has this name and version, or the store refuses or fails.
        PackageError: `source` is no package, or a registry refuses or fails.
        ValueError: `store` cannot be pushed to.
    """
    scheme = check_writable(store)
    with opened(source) as package, tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
        archive = Path(scratch) / "archive"
        write_archive(package.folder, archive)
        described = _described(package, archive)
        if scheme == "oci":
            return _push_artifact(store, archive, described, endpoint=endpoint, force=force)
        with told(store):
            return publish(open_place(store, endpoint, new=True), archive, described, force=force)


def _push_artifact(store: str, archive: Path, described: Description, *, endpoint: str | None, force: bool) -> Pushed:
    uri = parse_uri(f"{store.rstrip('/')}/{described.name}:{described.version}")
    try:
        with registry_at_home(uri, endpoint) as registry:
            pushed = push_package(registry, described.version, archive, described.to_annotations(), force=force)
    except FileExistsError as error:
        raise _taken(described, str(error)) from error
    return Pushed(uri.text, described.digest, pushed.new)


def publish(place: Place, archive: Path, described: Description, *, force: bool) -> Pushed:
    """Put an archive and its description into a store, and read the archive back.

    Raises:
        StoreError: the name is taken, or the store gives back other bytes.
    """
    key = place.key(described.name, described.version + ARCHIVE)
    uri = place.uri(key)
    parse_uri(uri)  # what cannot be fetched is not published
    claimed = _claim(place, described, force=force)
    there = _checksum_of(place, key)
    if there == described.sha256:
        return Pushed(uri, described.digest, new=claimed)
    if there is not None and not force:
        raise _taken(described, f"{uri} holds other bytes, which `sluice push` did not put there")
    with open(archive, "rb") as file:
        obstore.put(place.store, key, file, use_multipart=True, chunk_size=PIECE, max_concurrency=_CONCURRENCY)
    if _checksum_of(place, key) != described.sha256:
        raise StoreError(f"{uri} does not give back what was put there; push again with --force, or ask its operators")
    return Pushed(uri, described.digest)


def _claim(place: Place, described: Description, *, force: bool) -> bool:
    """Take the name, unless another package has it. True where it was free."""
    key = place.key(described.name, described.version + DESCRIPTION)
    try:
        obstore.put(place.store, key, described.to_json(), mode="create")
        return True
    except AlreadyExistsError:
        there = read_description(place, key)
    if there is not None and there.digest == described.digest:
        return False
    if not force:
        held = f"{place.uri(key)} says that it has {there.digest if there else 'something else'}"
        raise _taken(described, held)
    obstore.put(place.store, key, described.to_json())
    return True


def read_description(place: Place, key: str) -> Description | None:
    """The description under a key; None where there is none, or something else."""
    try:
        found = obstore.get(place.store, key)
        if found.meta["size"] > MAX_DESCRIPTION_BYTES:
            return None
        return Description.model_validate_json(bytes(found.bytes()))
    except (FileNotFoundError, ValidationError):
        return None


def _described(package: Package, archive: Path) -> Description:
    with open(archive, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    signed = (package.folder / SIGNATURE_FILE).is_file()
    return describe(package, archive.stat().st_size, checksum, signed=signed)


def _checksum_of(place: Place, key: str) -> str | None:
    try:
        pieces: Iterable[bytes] = obstore.get(place.store, key).stream(min_chunk_size=PIECE)
    except FileNotFoundError:
        return None
    checksum = hashlib.sha256()
    for piece in pieces:
        checksum.update(piece)
    return checksum.hexdigest()


def _taken(described: Description, held: str) -> StoreError:
    return StoreError(
        f"{described.name} {described.version} is published already, and a published package is never changed: {held}; "
        f"this one has {described.digest}. Give it another version, or replace what is there with --force",
        permanent=True,
    )
