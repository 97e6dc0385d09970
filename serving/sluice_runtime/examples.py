"""Made-up inputs that fit a signature: for the warm-up, for the trial whether rows are independent, and for the
documentation page. Calculated, not drawn: the same every time, and numpy's generators cost a pod 2 MB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime import bfloat16
from sluice_runtime.signature import NUMPY_TYPES, Signature, Tensor

_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it modulo 1 spread evenly over [0, 1) and do not repeat (Weyl's theorem)."""


def example(signature: Signature, rows: int, seed: int = 0) -> dict[str, Tensor]:
    """Made-up inputs with `rows` rows; every other open dimension is 1. Numbers lie in [0, 1), integers are 0 or 1."""
    return made_up(signature.inputs, rows, seed)


def made_up(inputs: Sequence[TensorSpec], rows: int, seed: int = 0) -> dict[str, Tensor]:
    """The same for inputs that belong to no signature."""
    return {spec.name: _tensor(spec, rows, seed + place) for place, spec in enumerate(inputs)}


def _tensor(spec: TensorSpec, rows: int, seed: int) -> Tensor:
    shape = [1 if size == -1 else size for size in spec.shape]
    if spec.shape and spec.shape[0] == -1:
        shape[0] = rows
    if spec.datatype is Datatype.BYTES:
        return np.full(shape, "a", dtype=np.object_)
    values = (((np.arange(math.prod(shape)) + 1) * _GOLDEN + seed * math.e) % 1).reshape(shape)
    if spec.datatype is Datatype.BF16:
        return bfloat16.from_float32(values).reshape(shape)
    if spec.datatype in (Datatype.FP16, Datatype.FP32, Datatype.FP64):
        return values.astype(NUMPY_TYPES[spec.datatype])
    return (values > 0.5).astype(NUMPY_TYPES[spec.datatype])
