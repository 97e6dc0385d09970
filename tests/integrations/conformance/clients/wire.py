"""How tests and client programs tell each other tensors: JSON with the raw bytes in hex, so that nothing is rounded.

Runs in the clients' environments; numpy alone is needed.
"""

import json
import struct
import sys

import numpy as np

NUMPY = {
    "BOOL": "bool",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


def load(tensor):
    """numpy array of a told tensor; BYTES as objects of bytes."""
    raw, shape = bytes.fromhex(tensor["hex"]), tensor["shape"]
    if tensor["datatype"] == "BYTES":
        values = np.empty(len(list(split(raw))), np.object_)
        values[:] = list(split(raw))
        return values.reshape(shape)
    if tensor["datatype"] == "BF16":
        return np.frombuffer(raw, _bfloat16()).reshape(shape)
    return np.frombuffer(raw, NUMPY[tensor["datatype"]]).reshape(shape)


def tell(name, datatype, array):
    """The same for an array that a client gave."""
    if datatype == "BYTES":
        texts = [value.encode() if isinstance(value, str) else bytes(value) for value in np.ravel(array)]
        raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    elif datatype == "BF16":
        raw = np.asarray(array, _bfloat16()).tobytes()
    else:
        raw = np.asarray(array, NUMPY[datatype]).tobytes()
    return {"name": name, "datatype": datatype, "shape": [int(size) for size in np.shape(array)], "hex": raw.hex()}


def _bfloat16():
    import ml_dtypes

    return ml_dtypes.bfloat16


def split(raw):
    """Elements of raw BYTES."""
    while raw:
        size = struct.unpack_from("<I", raw)[0]
        yield raw[4 : 4 + size]
        raw = raw[4 + size :]


def main(answer):
    """Answer each job that stands on stdin."""
    json.dump([answer(job) for job in json.load(sys.stdin)], sys.stdout)
