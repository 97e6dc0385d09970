"""Arrays in, arrays out: asks a running model as an application would, in the protocol's JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.harness import Running
from sluice_runtime.signature import NUMPY_TYPES

Arrays = Mapping[str, NDArray[Any]]

NAMES = {kind: str(datatype) for datatype, kind in NUMPY_TYPES.items()}
"""Datatypes of the protocol by numpy's; text is an array of objects."""


def ask(running: Running, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """A model's outputs by name."""
    answer = running.infer(*(tensor(name, values) for name, values in inputs.items()))
    assert answer.status_code == 200, answer.text
    return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answer.json()["outputs"]}


def tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    """An array as an input of a request."""
    data = values.ravel().tolist()
    return {"name": name, "datatype": NAMES[values.dtype], "shape": list(values.shape), "data": data}
