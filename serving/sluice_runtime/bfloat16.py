"""BF16 without a numpy type of its own: the upper half of an IEEE single, kept as `uint16`.

numpy has no bfloat16 and ONNX Runtime takes such tensors only as untyped 16-bit values, so that is what travels
through the data plane; numbers appear only where JSON is written or read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The numbers that the 16-bit patterns stand for; exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def from_float32(values: NDArray[Any]) -> NDArray[np.uint16]:
    """The nearest BF16 patterns, ties to even (IEEE 754); NaN stays NaN.

    Raises:
        ValueError: a finite value is too large for BF16.
    """
    single = np.ascontiguousarray(values, np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    # Rounding could carry a NaN's payload into infinity's pattern; a quiet NaN keeps its sign.
    nan = np.isnan(single)
    rounded[nan] = ((bits[nan] >> 16) | 0x0040).astype(np.uint16)
    if (np.isfinite(single) & ~np.isfinite(to_float32(rounded))).any():
        raise ValueError("a value is too large")
    return rounded
