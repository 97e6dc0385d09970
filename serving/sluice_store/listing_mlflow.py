"""The packages in the registry of an MLflow server: registered models, their versions, and their aliases of now."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import FailFast, Field, ValidationError

from sluice.config import Fetching
from sluice_store.answers import read_answer
from sluice_store.errors import StoreError
from sluice_store.mlflow_answers import DIGEST_TAG, Answer, Tag
from sluice_store.published import Entry
from sluice_store.transfer import patiently
from sluice_store.web import Bearer, Web, check_status

OWNER_TAG = "sluice.owner"
"""A tag of a version or of its model; without it the owner is who registered the version."""

MAX_VERSIONS = 10_000
MAX_PAGES = 200
"""Also where they are empty: a server may name a next page for ever."""

_PAGE = 200


class _Alias(Answer):
    alias: str
    version: str


class _Model(Answer):
    name: str
    aliases: Annotated[tuple[_Alias, ...], FailFast()] = ()
    tags: Annotated[tuple[Tag, ...], FailFast()] = ()


class _Version(Answer):
    """`creation_timestamp` is in milliseconds since 1970."""

    name: str
    version: str
    creation_timestamp: Annotated[int, Field(ge=0, le=10**14)] | None = None
    user_id: str = ""
    description: str = ""
    tags: Annotated[tuple[Tag, ...], FailFast()] = ()


class _Models(Answer):
    registered_models: Annotated[tuple[_Model, ...], FailFast()] = ()
    next_page_token: str = ""


class _Versions(Answer):
    model_versions: Annotated[tuple[_Version, ...], FailFast()] = ()
    next_page_token: str = ""


Page = TypeVar("Page", _Models, _Versions)


def packages(store: str, endpoint: str | None, environ: Mapping[str, str] = os.environ) -> Iterator[Entry]:
    """Entries of all versions in the registry. Credentials: MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD.

    Raises:
        ValueError: `store` says more than models:/, or the server is not named.
        StoreError: it answers something else, or has more than MAX_VERSIONS versions.
        PackageError: it refuses or fails.
    """
    base = (endpoint or environ.get("MLFLOW_TRACKING_URI") or "").rstrip("/")
    if store.strip("/") != "models:" or not base.startswith(("http://", "https://")):
        raise ValueError("write models:/ and the MLflow server's address as --endpoint (or MLFLOW_TRACKING_URI)")
    with Web(base, Fetching(), auth=_auth(environ)) as web:
        models = {}
        for models_page in _pages(web, f"{base}/api/2.0/mlflow/registered-models/search", _Models):
            models.update({model.name: model for model in models_page.registered_models})
        count = 0
        for page in _pages(web, f"{base}/api/2.0/mlflow/model-versions/search", _Versions):
            count += len(page.model_versions)
            if count > MAX_VERSIONS:
                raise StoreError(f"{base} has more than {MAX_VERSIONS} versions, which is too many to list")
            yield from (_entry(version, models.get(version.name)) for version in page.model_versions)


def _entry(version: _Version, model: _Model | None) -> Entry:
    aliases = defaultdict(list)
    for alias in model.aliases if model else ():
        aliases[alias.version].append(alias.alias)
    tags = {tag.key: tag.value for tag in (*(model.tags if model else ()), *version.tags)}
    when = version.creation_timestamp
    return Entry(
        version.name,
        version.version,
        f"models:/{quote(version.name, safe=' ')}/{version.version}",
        modified=None if when is None else datetime.fromtimestamp(when / 1000, UTC),
        digest=tags.get(DIGEST_TAG),
        owner=tags.get(OWNER_TAG) or version.user_id or None,
        description=version.description or None,
        aliases=tuple(sorted(aliases[version.version])),
    )


def _pages(web: Web, url: str, kind: type[Page]) -> Iterator[Page]:
    token = ""
    for _ in range(MAX_PAGES):
        asked = {"max_results": str(_PAGE)} | ({"page_token": token} if token else {})
        page = _ask(web, f"{url}?{urlencode(asked)}", kind)
        yield page
        token = page.next_page_token
        if not token:
            return
    raise StoreError(f"{url} has more than {MAX_PAGES} pages, which is too many to list")


def _ask(web: Web, url: str, kind: type[Page]) -> Page:
    about = url.partition("?")[0]

    def ask() -> bytes:
        response = web.ask("GET", url)
        check_status(response, about=about)
        return response.content

    try:
        return read_answer(kind, patiently(about, ask, Fetching()))
    except ValidationError as error:
        raise StoreError(f"{about} does not answer as MLflow does; check --endpoint") from error


def _auth(environ: Mapping[str, str]) -> httpx.Auth | None:
    token, user = environ.get("MLFLOW_TRACKING_TOKEN"), environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        return Bearer(token)
    return httpx.BasicAuth(user, environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
