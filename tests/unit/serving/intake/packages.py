"""A model of a shop's: what its package says of requests, and an intake that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sluice.contract import FeatureReferences
from sluice.manifest import Datatype, Manifest, TensorSpec
from sluice_runtime.intake.intake import Intake, intake_of
from sluice_runtime.signature import Signature, Tensor
from unit.serving.fakes import spec

NOW = 1_795_000_000.75

STORE_ID = {"name": "store_id"}
SIZE = {"name": "size"}
CITY = {"name": "city"}

INPUTS = (
    spec("size", Datatype.FP32, -1, 1),
    spec("city", Datatype.BYTES, -1, 1),
    spec("rain", Datatype.FP32, -1, 1),
)


@dataclass(frozen=True)
class Found:
    """What a store said."""

    values: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def found(*notes: str, **values: Sequence[Any]) -> Found:
    kinds: dict[str, Any] = {"city": np.object_}
    return Found({name: np.array(value, kinds.get(name, np.float32)) for name, value in values.items()}, notes)


def manifest(inputs: Sequence[TensorSpec] = INPUTS, **fields: Any) -> Manifest:
    return Manifest.model_validate({"name": "shop", "version": "3", "inputs": inputs, "outputs": inputs, **fields})


def references(*features: dict[str, Any], entities: Sequence[dict[str, Any]] = (STORE_ID,)) -> dict[str, Any]:
    return {"service": "revenue", "entities": list(entities), "features": list(features or (SIZE, CITY))}


def intake(
    inputs: Sequence[TensorSpec] = INPUTS,
    *,
    store: bool = True,
    batchable: bool = True,
    deployed: dict[str, Any] | None = None,
    **fields: Any,
) -> Intake:
    """`deployed`: references of the settings, in place of the package's own."""
    package = manifest(inputs, **fields)
    signature = Signature(tuple(inputs), tuple(inputs), batchable=batchable)
    asked = FeatureReferences.model_validate(deployed) if deployed else package.features
    made = intake_of(package, signature, asked if store else None, lambda *_: None, lambda: NOW)
    assert made is not None
    return made


def column(*values: Any) -> Tensor:
    return np.array(values, np.object_ if isinstance(values[0], str) else np.float32).reshape(-1, 1)


def keys(*values: int) -> Tensor:
    return np.array(values, np.int64)
