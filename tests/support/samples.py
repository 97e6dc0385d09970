"""The samples people read, as input of tests: only the address of the model is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from support.kube import Object

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"


def names() -> list[str]:
    """Every sample's file name."""
    return sorted(path.name for path in SAMPLES.glob("*.yaml"))


def read(name: str) -> list[Object]:
    """The objects of a sample."""
    return [found for found in yaml.safe_load_all((SAMPLES / name).read_text()) if found]


def model_deployment(name: str, uri: str, **spec: Any) -> Object:
    """The ModelDeployment of a sample with another URI, without a digest, and with parts of its spec replaced."""
    found = next(one for one in read(name) if one["kind"] == "ModelDeployment")
    found["spec"] |= {"model": {**found["spec"]["model"], "uri": uri}, **spec}
    found["spec"]["model"].pop("digest", None)
    return found
