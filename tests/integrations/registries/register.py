"""Registers packages as a data scientist would, with MLflow's own client; run in its environment.

`register.py URL NAME WAY:PATH[:DIGEST]...` prints the version of each. Ways: `folder` logs a package's folder and makes
a version of it; `register` does it by `mlflow.register_model`; `archive` logs a file; `nested` logs the folder one
deeper than the version's source.
"""

from __future__ import annotations

import sys

import mlflow
from mlflow import MlflowClient


def log(way: str, path: str) -> tuple[str, str]:
    """Log a package; the run, and the folder of artifacts that is the source of its version."""
    with mlflow.start_run() as run:
        if way == "archive":
            mlflow.log_artifact(path, "package")
        else:
            mlflow.log_artifacts(path, "package/deeper" if way == "nested" else "package")
    return run.info.run_id, f"{run.info.artifact_uri}/package"


def main(url: str, name: str, *wanted: str) -> None:
    """Register each of them, and say which version it became."""
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    client.create_registered_model(name)
    for one in wanted:
        way, path, digest = (*one.split(":", 2), "")[:3]
        run, source = log(way, path)
        tags = {"sluice.digest": digest} if digest else {}
        if way == "register":
            version = mlflow.register_model(source, name, tags=tags).version
        else:
            version = client.create_model_version(name, f"runs:/{run}/package", run, tags=tags).version
        print("version", version)


if __name__ == "__main__":
    main(*sys.argv[1:])
