"""What a store holds: models, their versions, owners and digests.

Packages that `sluice push` published are described beside themselves; others are found by their names, and listed with
what is known of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from importlib import import_module

import obstore

from sluice.manifest import MANIFEST_FILE
from sluice.uri import ARCHIVE_SUFFIXES
from sluice_store.errors import StoreError, told
from sluice_store.objects import LISTING_SECONDS
from sluice_store.places import Place, open_place
from sluice_store.published import DESCRIPTION, Entry
from sluice_store.push import read_description

MAX_OBJECTS = 100_000
"""More is a bucket of something else; a prefix of it may be named."""

_READERS = 8

_ELSEWHERE = {"oci": "sluice_store.listing_oci", "models": "sluice_store.listing_mlflow"}
"""Modules with `packages(store, endpoint)`."""


def listed(store: str, endpoint: str | None = None, seconds: float = LISTING_SECONDS) -> list[Entry]:
    """The packages of a store, by model, then in the order in which they came. `seconds`: for the names of its objects.

    Raises:
        StoreError: the store refuses or fails, does not come to an end, or holds more than a store of packages would.
        ValueError: `store` names none, or one that cannot be listed.
    """
    scheme = store.partition(":")[0]
    if scheme in ("http", "https", "pvc", "hf"):
        raise ValueError(f"{store}: what is behind {scheme}:// cannot be listed; list the store it is served from")
    if scheme in _ELSEWHERE:
        return sorted(import_module(_ELSEWHERE[scheme]).packages(store, endpoint), key=_order)
    with told(store):
        return sorted(_objects(open_place(store, endpoint), seconds), key=_order)


def _objects(place: Place, seconds: float) -> list[Entry]:
    try:
        found = asyncio.run(_names(place, seconds))
    except TimeoutError as error:
        raise StoreError(f"{place.text} was not listed in {seconds:.0f} s; name a folder of it") from error
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda entry: _with_description(place, found, entry), _entries(place, found)))


async def _names(place: Place, seconds: float) -> dict[str, tuple[int, datetime]]:
    found: dict[str, tuple[int, datetime]] = {}
    count = 0
    # Only here can the library be told to stop, where a store names empty pages for ever.
    async with asyncio.timeout(seconds):
        async for batch in obstore.list(place.store, place.prefix or None, chunk_size=1000):
            found.update({item["path"]: (item["size"], item["last_modified"]) for item in batch})
            count += len(batch)  # a server that says the same names again and again never ends
            if count > MAX_OBJECTS:
                raise StoreError(f"{place.text} holds more than {MAX_OBJECTS} objects; name a folder of it")
    return found


def _with_description(place: Place, found: Mapping[str, object], entry: Entry) -> Entry:
    key = place.key(entry.model, entry.version + DESCRIPTION)
    told = read_description(place, key) if key in found else None
    if told is None or (told.name, told.version) != (entry.model.rpartition("/")[2], entry.version):
        return entry
    return replace(entry, digest=told.digest, owner=told.owner, description=told.description, signed=told.signed)


def _entries(place: Place, found: Mapping[str, tuple[int, datetime]]) -> Iterator[Entry]:
    """The packages among these keys (with the bytes and the time of each), not yet described."""
    for key, (size, modified) in found.items():
        folder, _, name = key.rpartition("/")
        suffix = next((suffix for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), "")
        if suffix and folder:
            yield Entry(_below(place, folder), name.removesuffix(suffix), place.uri(key), size, modified)
        elif name == MANIFEST_FILE and "/" in folder:
            model, _, version = folder.rpartition("/")
            inside = [bytes_ for path, (bytes_, _) in found.items() if path.startswith(f"{folder}/")]
            yield Entry(_below(place, model), version, place.uri(folder), sum(inside), modified)


def _below(place: Place, key: str) -> str:
    return key.removeprefix(place.prefix).lstrip("/")


def _order(entry: Entry) -> tuple[str, float, str]:
    return entry.model, entry.modified.timestamp() if entry.modified else 0.0, entry.version
