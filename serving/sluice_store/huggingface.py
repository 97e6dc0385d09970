"""Packages in model repositories of the Hugging Face Hub, or of a mirror of it.

The Hub is asked directly: two kinds of request are needed, and `huggingface-hub` would bring its own cache on disk, its
own retries and redirects that nobody checks.

A repository holds the package as it is, `model.yaml` and `model.onnx` at its root or in the folder that the URI names.
Everything there belongs to it, but for names that begin with a dot, which are git's and the Hub's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, FailFast, Field, ValidationError

from sluice.archive import MAX_MEMBERS
from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.manifest import MANIFEST_FILE, MODEL_FILE, explain
from sluice.uri import ModelUri, parse_uri
from sluice_store.answers import read_answer
from sluice_store.http import auth_of, by_digest, opener
from sluice_store.layout import safe_name
from sluice_store.secret import Secret
from sluice_store.transfer import Transfer, patiently
from sluice_store.web import Web, check_status

PUBLIC_HUB = "https://huggingface.co"


class _Lfs(BaseModel):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class _Sibling(BaseModel):
    rfilename: str
    size: Annotated[int, Field(ge=0)] | None = None
    lfs: _Lfs | None = None


class Revision(BaseModel):
    """What the Hub says about one revision of a repository. `sha` is the commit."""

    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    siblings: Annotated[tuple[_Sibling, ...], FailFast(), Field(max_length=MAX_MEMBERS)] = ()


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of the package: its names there and in the repository, and its size and sha256 where they are known."""

    name: str
    path: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Hub:
    """The Hub, asked about one repository."""

    web: Web
    base: str
    uri: ModelUri
    fetching: Fetching

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.web.__exit__()

    def revision(self) -> Revision:
        """What the branch, tag or commit of the URI is.

        Raises:
            PackageError: SourceNotFound, SourceForbidden or SourceUnreachable.
        """
        # `blobs`: with the sizes of the files, and the sha256 of those that are large.
        path = f"/api/models/{self.uri.path}/revision/{quote(self.uri.reference, safe='')}?blobs=true"

        def ask() -> bytes:
            response = self.web.ask("GET", self.base + path)
            if response.headers.get("x-error-code") == "RepoNotFound":
                raise PackageError(Reason.SOURCE_NOT_FOUND, _nowhere(self.uri))  # 401, where the Hub may not say 404
            check_status(response, about=self.uri.text)
            return response.content

        return read_revision(patiently(self.uri.text, ask, self.fetching), self.uri.text)

    def save(self, commit: str, file: RepositoryFile, folder: Path, max_bytes: int) -> int:
        """Download a file of a commit into the package's folder, and return its bytes; raises as `revision` does."""
        url = f"{self.base}/{self.uri.path}/resolve/{commit}/{quote(file.path)}"
        name, target = f"{self.uri.text} {file.name}", folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        open_at = opener(self.web, url, about=name)
        if file.sha256 is not None:
            open_at = by_digest(open_at, file.sha256)
        return Transfer(name, open_at, max_bytes, self.fetching, file.sha256).save(target)


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Download the files of the package at one commit."""
    limit = config.limits.max_package_bytes
    with _hub(uri, config) as hub:
        revision = hub.revision()
        for file in package_files(revision, uri.folder, limit):
            limit -= hub.save(revision.sha, file, folder, limit)


def pinned(uri: ModelUri, config: RuntimeConfig) -> ModelUri:
    """The URI of the commit that a branch or tag stands for now.

    Raises:
        PackageError: why the Hub does not tell.
    """
    with _hub(uri, config) as hub:
        commit = hub.revision().sha
    below = f"/{quote(uri.folder)}" if uri.folder else ""
    return parse_uri(f"hf://{uri.path}@{commit}{below}")


def endpoint_of(config: RuntimeConfig, environ: Mapping[str, str] = os.environ) -> str:
    """Where the Hub is: spec.model.endpoint, or HF_ENDPOINT as its own tools have it, or the public one."""
    return (config.store.endpoint or environ.get("HF_ENDPOINT") or PUBLIC_HUB).rstrip("/")


def read_revision(content: bytes, where: str) -> Revision:
    """Parse the Hub's answer about a revision.

    Raises:
        PackageError: SourceNotFound, for an answer that no Hub gives.
    """
    try:
        return read_answer(Revision, content)
    except ValidationError as error:
        raise PackageError(
            Reason.SOURCE_NOT_FOUND, f"{where} does not answer as the Hub does ({explain(error)}); check the endpoint"
        ) from error


def package_files(revision: Revision, folder: str, max_bytes: int) -> list[RepositoryFile]:
    """The files of the package in `folder` of a repository ("" is its root).

    Raises:
        PackageError: InvalidPackage, PackageTooLarge, or UnsafeArchive for a name that leads elsewhere.
    """
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    files = [
        _file(sibling, sibling.rfilename.removeprefix(prefix))
        for sibling in revision.siblings
        if sibling.rfilename.startswith(prefix) and not _hidden(sibling.rfilename.removeprefix(prefix))
    ]
    missing = {MANIFEST_FILE, MODEL_FILE} - {file.name for file in files}
    if missing:
        place = f"the folder {folder!r}" if folder else "the root"
        raise PackageError(
            Reason.INVALID_PACKAGE,
            f"{' and '.join(sorted(missing))} missing in {place} of the repository; upload the package's folder there",
        )
    if sum(file.size or 0 for file in files) > max_bytes:
        raise PackageError(
            Reason.PACKAGE_TOO_LARGE, f"the repository is larger than {max_bytes} bytes; raise spec.model.maxSize"
        )
    return files


def _hub(uri: ModelUri, config: RuntimeConfig) -> Hub:
    secret, base = Secret(Path(config.credentials_dir)), endpoint_of(config)
    return Hub(Web(base, config.fetching, auth=auth_of(secret), ca=secret.ca), base, uri, config.fetching)


def _nowhere(uri: ModelUri) -> str:
    return (
        f"the Hub has no model repository {uri.path}, or only for others; check spec.model.uri, and the token in the "
        "Secret named in spec.model.credentials"
    )


def _file(sibling: _Sibling, name: str) -> RepositoryFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    return RepositoryFile(safe_name(name), sibling.rfilename, sibling.lfs.size if sibling.lfs else sibling.size, sha256)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
