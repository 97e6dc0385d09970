"""What a model pod's first step does with a registry, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError
from sluice_store.fetching import fetch_package


def config_for(uri: str, folder: Path, secret: dict[str, str] | None = None, **changes: Any) -> RuntimeConfig:
    """Settings of a step that fetches into `folder`; `secret` becomes the mounted files."""
    credentials = folder / "secret"
    credentials.mkdir(parents=True, exist_ok=True)
    for key, value in (secret or {}).items():
        (credentials / key).write_text(value)
    settings: dict[str, Any] = {
        "name": "iris",
        "uri": uri,
        "package_dir": str(folder / "models/package"),
        "credentials_dir": str(credentials),
        "termination_log": str(folder / "log"),
        "fetching": Fetching(attempts=3, backoff_seconds=0.05),
    }
    return RuntimeConfig.model_validate({**settings, **changes})


def digest_at(uri: str, folder: Path, secret: dict[str, str] | None = None, **changes: Any) -> str:
    """The digest of the package that was fetched."""
    return fetch_package(config_for(uri, folder, secret, **changes)).digest


def refusal_of(uri: str, folder: Path, secret: dict[str, str] | None = None, **changes: Any) -> PackageError:
    """Why a package could not be fetched."""
    with pytest.raises(PackageError) as caught:
        fetch_package(config_for(uri, folder, secret, **changes))
    return caught.value
