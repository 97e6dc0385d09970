"""What a reference that moves stands for at this moment: an alias a version, a tag a digest, a branch a commit.

A revision is pinned to the answer, so that pods that start later load the same package, and asking again tells cheaply
whether somebody has moved it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from sluice.config import RuntimeConfig
from sluice.uri import ModelUri

_REGISTRIES = {
    "hf": "sluice_store.huggingface",
    "models": "sluice_store.mlflow",
    "oci": "sluice_store.oci",
}


class _Registry(Protocol):
    def pinned(self, uri: ModelUri, config: RuntimeConfig) -> ModelUri: ...


def resolve_reference(uri: ModelUri, config: RuntimeConfig) -> ModelUri:
    """The immutable URI behind a movable one; an immutable one is returned as it is. Nothing is downloaded.

    Raises:
        PackageError: why the registry does not tell.
    """
    if not uri.is_movable:
        return uri
    return cast("_Registry", import_module(_REGISTRIES[uri.scheme])).pinned(uri, config)
