"""Tensors of every datatype and shape, as hypothesis draws them."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sluice.manifest import Datatype
from sluice_runtime.signature import NUMPY_TYPES, Tensor

Case = tuple[Datatype, Tensor]

_BF16_FINITE = st.integers(0, 0x7F7F) | st.integers(0x8000, 0xFF7F)


@st.composite
def tensors(draw: st.DrawFn, infinite: bool = True) -> Case:
    """Datatype and tensor. Without `infinite` there are still NaNs, which JSON can say, but no infinities."""
    datatype = draw(st.sampled_from(list(Datatype)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if datatype is Datatype.BYTES:
        texts = draw(st.lists(st.text(), min_size=math.prod(shape), max_size=math.prod(shape)))
        array = np.empty(math.prod(shape), dtype=np.object_)
        array[:] = texts
        return datatype, array.reshape(shape)
    if datatype is Datatype.BF16:
        return datatype, draw(hnp.arrays(np.uint16, shape, elements=None if infinite else _BF16_FINITE))
    elements = {"allow_nan": True, "allow_infinity": infinite} if datatype.startswith("FP") else {}
    return datatype, draw(hnp.arrays(NUMPY_TYPES[datatype], shape, elements=elements or None))
