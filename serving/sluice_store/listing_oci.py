"""The packages in an OCI registry: one repository, or those below a name where the registry lists them.

Tags are versions; what is known of them comes from the annotations that `sluice push` gave the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urljoin

from pydantic import BaseModel, Field, ValidationError

from sluice.digest import DIGEST_PATTERN
from sluice.failures import PackageError
from sluice.uri import ModelUri, parse_uri
from sluice_store.answers import read_answer
from sluice_store.errors import StoreError
from sluice_store.oci_push import registry_at_home
from sluice_store.oci_registry import Registry, base_url
from sluice_store.published import ANNOTATION, Entry

MAX_NAMES = 10_000
"""Tags of a repository, or repositories of a registry; more is told as an error, never cut off in silence."""

MAX_PAGES = 200
"""Also where they are empty: a page whose next one is itself would be read for ever."""

_PAGE = 1000


class _Names(BaseModel):
    """A page of either list; registries answer null for an empty one."""

    tags: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(fail_fast=True)] | None = None
    repositories: Annotated[tuple[Annotated[str, Field(max_length=255)], ...], Field(fail_fast=True)] | None = None


def packages(store: str, endpoint: str | None) -> Iterator[Entry]:
    """Entries of the repository that `store` names, and of those below it.

    Raises:
        StoreError: there is no such repository, and the registry does not list those it has.
        PackageError: the registry refuses or fails.
        ValueError: `store` names no registry.
    """
    probe = parse_uri(f"{store.rstrip('/')}/x")
    above = probe.path.removesuffix("x").rstrip("/")
    here = list(_repository(probe, above, endpoint)) if above else []
    yield from here
    for name in _below(probe, above, endpoint, optional=bool(here)):
        yield from _repository(probe, name, endpoint)


def _repository(probe: ModelUri, name: str, endpoint: str | None) -> Iterator[Entry]:
    with registry_at_home(parse_uri(f"oci://{probe.location}/{name}"), endpoint) as registry:
        for tag in _names(registry, "tags/list", (200, 404)):
            yield _entry(registry, f"oci://{probe.location}/{name}:{tag}", name, tag)


def _below(probe: ModelUri, above: str, endpoint: str | None, *, optional: bool) -> list[str]:
    """Names of the repositories below one. The list of all is a part of Docker's registry, not of every other."""
    with registry_at_home(probe, endpoint) as registry:
        url = f"{base_url(probe, endpoint)}/v2/_catalog?n={_PAGE}"
        names = _names(registry, url, (200, 401, 403, 404, 405))
    found = [name for name in names if not above or name.startswith(f"{above}/")]
    if not found and not optional:
        where = probe.text.removesuffix("/x")
        raise StoreError(f"no repositories are listed below {where}; name one: oci://REGISTRY/REPOSITORY")
    return sorted(found)


def _names(registry: Registry, path: str, expected: tuple[int, ...]) -> list[str]:
    names: list[str] = []
    page = path
    for _ in range(MAX_PAGES):
        response = registry.ask("GET", page, expected)
        if response.status_code != 200:
            return names
        try:
            read = read_answer(_Names, response.content)
        except ValidationError as error:
            raise StoreError(f"{registry.name} does not answer as a registry does; check its name") from error
        names += read.tags or read.repositories or ()
        if len(names) > MAX_NAMES:
            raise StoreError(f"{registry.name} lists more than {MAX_NAMES} names; name a repository")
        following = response.links.get("next", {}).get("url")
        if not following:
            return names
        page = urljoin(str(response.request.url), following)
    raise StoreError(f"{registry.name} lists more than {MAX_PAGES} pages of names; name a repository")


def _entry(registry: Registry, uri: str, name: str, tag: str) -> Entry:
    try:
        manifest = registry.manifest(tag).manifest
    except PackageError as error:
        if not error.reason.permanent:
            raise
        return Entry(name, tag, uri)  # an image for other machines, or something that is no package
    said = manifest.annotations or {}
    size = sum(layer.size for layer in manifest.layers or ())
    digest = said.get(f"{ANNOTATION}digest", "")
    if said.get(f"{ANNOTATION}version") != tag or not re.fullmatch(DIGEST_PATTERN, digest):
        return Entry(name, tag, uri, size)
    return Entry(
        name,
        tag,
        uri,
        size,
        digest=digest,
        owner=said.get("org.opencontainers.image.authors"),
        description=said.get("org.opencontainers.image.description"),
        signed=said.get(f"{ANNOTATION}signed") == "true",
    )
