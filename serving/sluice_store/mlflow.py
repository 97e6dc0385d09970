"""Packages registered with MLflow: `models:/NAME@ALIAS` and `models:/NAME/VERSION`.

The tracking server is asked over its REST API: five requests are needed, and `mlflow-skinny` would bring tens of
megabytes into a step that has a hundred, with downloads that begin anew after each cut.

What a data scientist does, with the folder that `sluice package` wrote, is

    mlflow.log_artifacts("iris", "package")
    mlflow.register_model(f"{run.info.artifact_uri}/package", "iris", tags={"sluice.digest": "sha256:..."})

or `create_model_version("iris", f"runs:/{run_id}/package")`. The tag may be left out; where it is, it must be true.
The version's artifacts are the package's folder, or hold one folder or archive with a `model.yaml`. They come from the
server itself (`--serve-artifacts`, its default), or straight from the object store in which it keeps them: then its
keys are in the Secret too, and `MLFLOW_S3_ENDPOINT_URL`, if it is not Amazon's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from sluice.archive import MAX_MEMBERS, extract_archive
from sluice.config import RuntimeConfig, Store
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason
from sluice.manifest import explain
from sluice.uri import ModelUri, parse_uri
from sluice_store.answers import read_answer
from sluice_store.http import auth_of, opener
from sluice_store.layout import safe_name, settle
from sluice_store.mlflow_answers import (
    DownloadAnswer,
    ListAnswer,
    ModelVersion,
    Place,
    RunAnswer,
    VersionAnswer,
    place_of,
)
from sluice_store.secret import Secret
from sluice_store.sources import obtain as obtain_elsewhere
from sluice_store.transfer import Transfer, patiently
from sluice_store.web import Web, check_status, shown

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

MAX_DEPTH = 20
"""Folders in folders; a server that always answers with one more is not followed for ever."""

A = TypeVar("A", bound=BaseModel)


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Download the artifacts of a version, and make a package of them."""
    limit = config.limits.max_package_bytes
    with _server(uri, config) as server:
        version = server.version(uri.reference)
        place = server.place(version)
        if place.uri is None:
            server.save(place.path, folder)
        elif place.uri.scheme in ("http", "https"):
            server.save_archive(place.uri, folder)
        else:
            store = Store(endpoint=artifact_endpoint(place.uri, Secret(Path(config.credentials_dir))))
            obtain_elsewhere(place.uri, config.model_copy(update={"store": store}), folder)
    settle(folder, limit, uri.text)
    _check_tag(version, folder, uri)


def pinned(uri: ModelUri, config: RuntimeConfig) -> ModelUri:
    """The URI of the version that an alias stands for now.

    Raises:
        PackageError: why the server does not tell.
    """
    with _server(uri, config) as server:
        version = server.version(uri.reference).version
    return parse_uri(f"models:/{quote(uri.path, safe=' ')}/{version}")


def endpoint_of(config: RuntimeConfig, environ: Mapping[str, str] = os.environ) -> str:
    """Where the tracking server is: spec.model.endpoint, or MLFLOW_TRACKING_URI as MLflow's own tools have it.

    Raises:
        PackageError: InvalidConfig, where neither says so.
    """
    endpoint = config.store.endpoint or environ.get("MLFLOW_TRACKING_URI") or ""
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise PackageError(
            Reason.INVALID_CONFIG, "models:/ needs the address of the MLflow server; set spec.model.endpoint"
        )
    return endpoint.rstrip("/")


def artifact_endpoint(uri: ModelUri, secret: Secret, environ: Mapping[str, str] = os.environ) -> str | None:
    """Where the store of the artifacts is, by names that MLflow knows; None: where its provider has it.

    The endpoint of the spec is MLflow's.
    """
    if uri.scheme != "s3":
        return None
    names = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return secret.get(*names) or next((environ[name] for name in names if environ.get(name)), None)


@dataclass(frozen=True, slots=True)
class Server:
    """A tracking server, asked about one registered model."""

    web: Web
    base: str
    uri: ModelUri
    config: RuntimeConfig

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.web.__exit__()

    def version(self, reference: str) -> ModelVersion:
        """The version that a number or `@alias` stands for, with its artifacts in place.

        Raises:
            PackageError: SourceNotFound, SourceForbidden or SourceUnreachable.
        """
        name = {"name": self.uri.path}
        if reference.startswith("@"):
            path, asked = "/registered-models/alias", {**name, "alias": reference[1:]}
        else:
            path, asked = "/model-versions/get", {**name, "version": reference}
        version = self._ask(_API + path, asked, VersionAnswer).model_version
        if version.status != "READY":
            why = version.status_message or version.status
            raise PackageError(Reason.SOURCE_NOT_FOUND, f"{self.uri.text} is not ready ({why}); register it again")
        return version

    def place(self, version: ModelVersion) -> Place:
        """Where the artifacts of a version are; raises as `version` does, and InvalidConfig."""
        asked = {"name": version.name, "version": version.version}
        place = place_of(
            self._ask(_API + "/model-versions/get-download-uri", asked, DownloadAnswer).artifact_uri, self.uri.text
        )
        if place.kind != "run":
            return place
        run = self._ask(_API + "/runs/get", {"run_id": place.run}, RunAnswer).run
        return place_of(f"{run.info.artifact_uri.rstrip('/')}/{quote(place.path)}", self.uri.text)

    def save(self, path: str, folder: Path) -> None:
        """Download a folder of artifacts, or the one file that `path` is, by way of the server.

        Raises:
            PackageError: why it cannot be had; PackageTooLarge for all of it together.
        """
        remaining = self.config.limits.max_package_bytes
        for name in self.files(path):
            target = folder / (name or path.rpartition("/")[2])
            target.parent.mkdir(parents=True, exist_ok=True)
            remaining -= self._save(f"{path}/{name}" if name else path, target, remaining)

    def save_archive(self, uri: ModelUri, folder: Path) -> None:
        """Download an archive from the web, where the server may lead: never with its credentials elsewhere.

        Raises:
            PackageError: why it cannot be had.
        """
        archive, limit = folder.with_name("archive"), self.config.limits.max_package_bytes
        name = f"{self.uri.text} at {shown(uri.text)}"
        Transfer(name, opener(self.web, uri.text, about=name), limit, self.config.fetching).save(archive)
        extract_archive(archive, folder, limit)

    def files(self, path: str) -> Iterator[str]:
        """Names of the files beneath a folder; the empty name, where `path` is a file itself.

        Raises:
            PackageError: UnsafeArchive for names that lead out and folders without end, or why the server did not tell.
        """
        folders, seen = [""], 0
        while folders:
            below = folders.pop()
            found = self._ask(_ARTIFACTS, {"path": f"{path}/{below}".rstrip("/")}, ListAnswer).files
            if not found and not below:
                yield ""
            seen += len(found)
            for file in found:
                name = safe_name(f"{below}/{file.path}" if below else file.path)
                if seen > MAX_MEMBERS or name.count("/") > MAX_DEPTH:
                    raise PackageError(Reason.UNSAFE_ARCHIVE, f"{self.uri.text} has more files than any package")
                if file.is_dir:
                    folders.append(name)
                else:
                    yield name

    def _save(self, path: str, target: Path, limit: int) -> int:
        url = f"{self.base}{_ARTIFACTS}/{quote(path)}"
        name = f"{self.uri.text} {target.name}"
        return Transfer(name, opener(self.web, url, about=name), limit, self.config.fetching).save(target)

    def _ask(self, path: str, asked: Mapping[str, str], kind: type[A]) -> A:
        url = f"{self.base}{path}?{urlencode(asked)}"

        def ask() -> bytes:
            response = self.web.ask("GET", url)
            check_status(response, about=self.uri.text)
            return response.content

        try:
            return read_answer(kind, patiently(self.uri.text, ask, self.config.fetching))
        except ValidationError as error:
            message = f"{self.base} does not answer as MLflow does ({explain(error)}); check spec.model.endpoint"
            raise PackageError(Reason.SOURCE_NOT_FOUND, message) from error


def _server(uri: ModelUri, config: RuntimeConfig) -> Server:
    secret, base = Secret(Path(config.credentials_dir)), endpoint_of(config)
    return Server(Web(base, config.fetching, auth=auth_of(secret), ca=secret.ca), base, uri, config)


def _check_tag(version: ModelVersion, folder: Path, uri: ModelUri) -> None:
    if version.digest is None:
        return
    found = package_digest(folder)
    if found != version.digest:
        raise PackageError(
            Reason.DIGEST_MISMATCH,
            f"{uri.text} has digest {found}, and its tag sluice.digest says {version.digest}; register it again",
        )
