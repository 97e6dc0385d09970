"""What an MLflow tracking server answers, read as text that somebody else wrote.

Apart from the requests that ask for it, so that each answer can be tested by tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, FailFast, Field

from sluice.archive import MAX_MEMBERS
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri, parse_uri
from sluice_store.layout import safe_name

DIGEST_TAG = "sluice.digest"
"""A tag of a model version that holds the package's digest: a version whose artifacts were changed is then refused."""

_MAX_TAGS = 1_000
"""More than anybody sets."""

_RUN = re.compile("[0-9a-f]{32}")


class Answer(BaseModel):
    """A part of what the server answers."""

    model_config = ConfigDict(frozen=True)


class Tag(Answer):
    """A name and a text that somebody gave to a model or to a version of it."""

    key: str
    value: str = ""


class ModelVersion(Answer):
    """One version of a registered model. `status` is READY once its artifacts are there."""

    name: str
    version: Annotated[str, Field(pattern="^[0-9]{1,18}$")]
    status: str = "READY"
    status_message: str = ""
    tags: Annotated[tuple[Tag, ...], FailFast(), Field(max_length=_MAX_TAGS)] = ()

    @property
    def digest(self) -> str | None:
        """The digest that whoever registered the version wrote down, if they did."""
        return next((tag.value for tag in self.tags if tag.key == DIGEST_TAG), None)


class VersionAnswer(Answer):
    """To `registered-models/alias` and `model-versions/get`."""

    model_version: ModelVersion


class DownloadAnswer(Answer):
    """To `model-versions/get-download-uri`."""

    artifact_uri: Annotated[str, Field(min_length=1, max_length=4096)]


class _RunInfo(Answer):
    artifact_uri: Annotated[str, Field(min_length=1, max_length=4096)]


class _Run(Answer):
    info: _RunInfo


class RunAnswer(Answer):
    """To `runs/get`."""

    run: _Run


class Artifact(Answer):
    """A file or folder in the folder that was listed; `path` is its name there."""

    path: str
    is_dir: bool = False
    file_size: Annotated[int, Field(ge=0)] = 0


class ListAnswer(Answer):
    """To `mlflow-artifacts/artifacts`; an empty folder has no `files`."""

    files: Annotated[tuple[Artifact, ...], FailFast(), Field(max_length=MAX_MEMBERS)] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where artifacts are: with the server itself (`proxied`), below a run, or in a store that another module reads.

    `path` is a folder of the server's, or one below the artifacts of `run`; `uri` is of another store.
    """

    kind: Literal["proxied", "run", "store"]
    path: str = ""
    run: str = ""
    uri: ModelUri | None = None


def place_of(artifact_uri: str, where: str) -> Place:
    """Where an artifact URI of MLflow's points.

    Raises:
        PackageError: InvalidConfig for a place that is read by nobody here, UnsafeArchive for a path that leads out.
    """
    parts = urlsplit(artifact_uri)
    path = unquote(parts.path).strip("/")
    if parts.scheme == "mlflow-artifacts":
        return Place("proxied", safe_name(path))
    if parts.scheme == "runs":
        run, _, below = path.partition("/")
        if _RUN.fullmatch(run):
            return Place("run", safe_name(below) if below else "", run)
    return Place("store", uri=_elsewhere(artifact_uri, where))


def _elsewhere(artifact_uri: str, where: str) -> ModelUri:
    text = _azure(artifact_uri)
    try:
        uri = parse_uri(text)
    except ValueError as error:
        raise PackageError(Reason.INVALID_CONFIG, _unreadable(artifact_uri, where)) from error
    if uri.scheme not in ("s3", "gs", "az", "http", "https"):
        raise PackageError(Reason.INVALID_CONFIG, _unreadable(artifact_uri, where))
    return uri


def _azure(artifact_uri: str) -> str:
    """`wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH` as az://; the account comes with the credentials."""
    parts = urlsplit(artifact_uri)
    if parts.scheme not in ("wasb", "wasbs", "abfss"):
        return artifact_uri
    return f"az://{parts.username or ''}{parts.path}"


def _unreadable(artifact_uri: str, where: str) -> str:
    # A path on the server's own disk means nothing in a pod, and must not name a file of the pod's either.
    return (
        f"{where} has its artifacts at {artifact_uri!r}, which no pod can read; start the MLflow server with "
        "--serve-artifacts, or with artifacts in s3://, gs:// or az://"
    )
