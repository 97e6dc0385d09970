"""The model card of the package that is served: what a person should know before relying on an answer."""

from __future__ import annotations

import orjson

from sluice.package import Package
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import Model


def encode_card(package: Package) -> bytes:
    """JSON of a package's card, with which package it speaks of and how that was trained; empty where it has none."""
    manifest = package.manifest
    if manifest.card is None:
        return b""
    told = {"name": manifest.name, "version": manifest.version, "digest": package.digest}
    parts = manifest.model_dump(mode="json", by_alias=True, exclude_none=True, include={"card", "training"})
    return orjson.dumps({**told, **parts})


def card_of(model: Model) -> bytes:
    """What `encode_card` made of it.

    Raises:
        RequestError: UNKNOWN where its package has no card.
    """
    if not model.card:
        raise RequestError(Kind.UNKNOWN, f"the package of model {model.name!r} has no card")
    return model.card
