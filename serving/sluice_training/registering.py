"""Registers a package with an MLflow server: a run that says how it was trained, and a version of a registered model.

The server's REST API is asked: nine requests are needed, and MLflow's client would bring a hundred megabytes. The
version's artifacts are the package's files, kept by the server; or what was pushed to an object store, which pods then
read from there. Credentials come from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from sluice.digest import package_files
from sluice.manifest import Manifest
from sluice.package import Package
from sluice.uri import parse_uri
from sluice_training.errors import AwayError, TrainingError

DIGEST_TAG = "sluice.digest"
"""As `sluice_store` reads it: a version whose artifacts were changed is then refused."""

EXPERIMENT = "sluice"
READABLE = ("s3", "gs", "az")
"""Stores that a pod reads by itself, wherever the registry says that artifacts are."""

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_FOLDER = "package"
_TIMEOUT = 60.0
_MAX_METRICS = 1_000
_TRY_AGAIN = frozenset({408, 425, 429})
_MAX_VALUE = 500
"""Characters of a parameter, of which older servers take no more."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model. `uri` is of this version, `alias_uri` follows the alias if there is one."""

    name: str
    version: str
    endpoint: str
    alias: str | None = None

    @property
    def uri(self) -> str:
        """The URI that always stands for this version."""
        return f"models:/{quote(self.name, safe=' ')}/{self.version}"

    @property
    def alias_uri(self) -> str | None:
        """The URI that stands for whatever version the alias is given."""
        return f"models:/{quote(self.name, safe=' ')}@{self.alias}" if self.alias else None


def register(
    package: Package, url: str, *, name: str | None = None, alias: str | None = None, pushed: str | None = None
) -> Registered:
    """Register a package; registering the same one again gives the version that is there.

    `pushed`: where it was published; used where pods can read from there, as the artifacts' place.

    Raises:
        TrainingError: the server cannot be reached, refuses, or keeps artifacts where it does not take them.
    """
    check_address(url)
    wanted = name or package.manifest.name
    parse_uri(f"models:/{quote(wanted, safe=' ')}/1")  # what cannot be fetched is not registered
    if "'" in wanted:
        raise TrainingError(f"{wanted!r} holds a quote, which MLflow cannot search for; give another --name")
    with _Server(url.rstrip("/")) as server:
        version = server.registered(wanted, package.digest)
        if version is None:
            server.make_model(wanted)
            run, place = server.run(package.manifest, package.digest)
            source = pushed if pushed and urlsplit(pushed).scheme in READABLE else server.upload(package, place)
            server.finish(run)
            version = server.make_version(wanted, source, run, package)
        if alias:
            server.set_alias(wanted, alias, version)
        return Registered(wanted, version, url.rstrip("/"), alias)


def check_address(url: str) -> None:
    """Check that it can be a server's address.

    Raises:
        TrainingError: it cannot.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise TrainingError("credentials do not belong in --register; set MLFLOW_TRACKING_USERNAME and _PASSWORD")
    if parts.scheme not in ("http", "https"):
        raise TrainingError(f"{url!r} is no address of an MLflow server; write http://HOST:PORT")


class _Server:
    """A tracking server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._web = httpx.Client(base_url=url, timeout=_TIMEOUT, auth=_auth(), headers=_bearer())

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._web.close()

    def registered(self, name: str, digest: str) -> str | None:
        """The latest version of a model that has the digest in its tag; None where there is none."""
        condition = f"name='{name}' and tags.`{DIGEST_TAG}`='{digest}'"
        answer = self._ask("GET", f"{_API}/model-versions/search", params={"filter": condition, "max_results": "100"})
        versions = [int(one["version"]) for one in answer.get("model_versions", ()) if one.get("status") == "READY"]
        return str(max(versions)) if versions else None

    def make_model(self, name: str) -> None:
        """Make the registered model, unless it is there."""
        self._ask("POST", f"{_API}/registered-models/create", {"name": name}, exists=True)

    def run(self, manifest: Manifest, digest: str) -> tuple[str, str]:
        """A run with what the package says of its training; its id, and where its artifacts go."""
        now = time.time_ns() // 1_000_000  # MLflow's clock: milliseconds
        tags = {"mlflow.runName": f"{manifest.name} {manifest.version}", DIGEST_TAG: digest}
        made = self._ask("POST", f"{_API}/runs/create", {
            "experiment_id": self._experiment(), "start_time": now, "tags": _pairs(tags),
        })["run"]["info"]  # fmt: skip
        metrics = (manifest.card.metrics if manifest.card else None) or {}
        told = [{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in metrics.items()]
        params = _pairs({key: value[:_MAX_VALUE] for key, value in _parameters(manifest).items()})
        logged = {"run_id": made["run_id"], "metrics": told[:_MAX_METRICS], "params": params[:100]}
        self._ask("POST", f"{_API}/runs/log-batch", logged)
        return made["run_id"], made["artifact_uri"]

    def upload(self, package: Package, place: str) -> str:
        """Put the package's files beneath a run's artifacts; the folder's URI."""
        parts = urlsplit(place)
        if parts.scheme != "mlflow-artifacts":
            raise TrainingError(
                f"{self._url} keeps artifacts at {parts.scheme or 'a folder'}, not with itself; publish the package "
                "with --push s3://, gs:// or az://, or start the server with --serve-artifacts"
            )
        for path in sorted(package_files(package.folder)):
            with open(package.folder / path, "rb") as file:
                below = quote(f"{parts.path.strip('/')}/{_FOLDER}/{path}")
                self._ask("PUT", f"{_ARTIFACTS}/{below}", content=file)
        return f"{place.rstrip('/')}/{_FOLDER}"

    def finish(self, run: str) -> None:
        """Say that the run has ended well."""
        now = time.time_ns() // 1_000_000
        self._ask("POST", f"{_API}/runs/update", {"run_id": run, "status": "FINISHED", "end_time": now})

    def make_version(self, name: str, source: str, run: str, package: Package) -> str:
        """Make a version of the registered model; its number."""
        card = package.manifest.card
        answer = self._ask("POST", f"{_API}/model-versions/create", {
            "name": name, "source": source, "run_id": run, "tags": _pairs({DIGEST_TAG: package.digest}),
            "description": (card.description if card else None) or "",
        })  # fmt: skip
        return str(answer["model_version"]["version"])

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias stand for a version."""
        self._ask("POST", f"{_API}/registered-models/alias", {"name": name, "alias": alias, "version": version})

    def _experiment(self) -> str:
        self._ask("POST", f"{_API}/experiments/create", {"name": EXPERIMENT}, exists=True)
        answer = self._ask("GET", f"{_API}/experiments/get-by-name", params={"experiment_name": EXPERIMENT})
        return str(answer["experiment"]["experiment_id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, exists: bool = False,
             params: Mapping[str, str] | None = None, content: Any = None) -> dict[str, Any]:  # fmt: skip
        """One request; `exists`: that it is there already is no fault."""
        try:
            response = self._web.request(method, path, json=body, params=params, content=content)
        except httpx.HTTPError as error:
            raise AwayError(f"{self._url} cannot be reached: {type(error).__name__} {error}") from error
        if response.status_code in (401, 403):
            raise TrainingError(
                f"{self._url} refuses; set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD"
            )
        answer = _object(response)
        if response.is_success and answer is not None:
            return answer
        code, told = (answer.get("error_code"), answer.get("message")) if answer else (None, None)
        if exists and code == "RESOURCE_ALREADY_EXISTS":
            return {}
        message = f"{self._url} answered {response.status_code}: {str(told or code or response.reason_phrase)[:300]}"
        if response.status_code >= 500 or response.status_code in _TRY_AGAIN:
            raise AwayError(message)
        if answer is None:
            raise TrainingError(f"{self._url} does not answer as MLflow does; check --register")
        raise TrainingError(message)


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """What an answer holds; None where that is no object, as of a gateway that speaks for the server."""
    try:
        answer = response.json() if response.content else {}
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _parameters(manifest: Manifest) -> dict[str, str]:
    training = manifest.training
    if training is None:
        return {}
    told = {"seed": training.seed, "data": training.data, "code": training.code, **training.parameters}
    return {key: str(value) for key, value in told.items()}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _auth() -> httpx.BasicAuth | None:
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    return httpx.BasicAuth(user, password) if user and password else None


def _bearer() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
