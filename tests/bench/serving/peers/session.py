"""The session every peer runs: one thread, as the pod of one core that the runtime is measured in has."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime


def open_session() -> Any:
    """The model's session with the thread settings that the runtime uses on one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])


def output_names(session: Any) -> list[str]:
    """The names of the model's outputs, in order."""
    return [output.name for output in session.get_outputs()]
