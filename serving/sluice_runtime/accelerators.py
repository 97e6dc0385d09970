"""Execution providers: a session runs on the processor its settings name, or not at all.

ONNX Runtime falls back to the CPU when a provider cannot be loaded, and only prints that it did. A pod that holds a
GPU and answers from its CPU costs the money of one and has the speed of the other, unnoticed; so it must not start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import onnxruntime as ort

from sluice.config import Provider
from sluice.failures import PackageError, Reason

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

MakeSession = Callable[[list[Any]], Any]
"""Makes a session from providers in ONNX Runtime's form: names, or pairs of a name and its options."""


def session_on(providers: Sequence[Provider], make: MakeSession, available: Collection[str]) -> Any:
    """A session that uses every one of `providers`, the preferred one first, and the CPU for what they cannot run.

    `available` are the providers that this build of ONNX Runtime holds.

    Raises:
        PackageError: AcceleratorUnavailable.
        Exception: what `make` raises where the graph itself is at fault.
    """
    names = [provider.name for provider in providers]
    absent = [name for name in names if name not in available]
    if absent:
        raise _unavailable(absent, f"this image's ONNX Runtime holds {', '.join(available)}; name an image that has it")
    wanted: list[Any] = [(provider.name, dict(provider.options)) for provider in providers]
    session = _make(wanted if CPU in names else [*wanted, CPU], names, make)
    lost = [name for name in names if name not in session.get_providers()]
    if lost:
        raise _unavailable(lost, "is there a GPU in this pod, and a driver on its node that is new enough?")
    return session


def load_libraries(available: Collection[str]) -> None:
    """Let ONNX Runtime find the CUDA libraries that stand beside it as Python packages."""
    if CUDA in available:
        ort.preload_dlls()


def _make(wanted: list[Any], names: list[str], make: MakeSession) -> Any:
    try:
        return make(wanted)
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        if names in ([], [CPU]):
            raise
        # Whose fault is it? If the CPU alone refuses the graph as well, its error is the one to tell.
        make([CPU])
        raise _unavailable(names, f"ONNX Runtime says: {' '.join(str(error).split())[:600]}") from error


def _unavailable(names: Sequence[str], why: str) -> PackageError:
    message = f"{', '.join(names)} cannot be used: {why}"
    return PackageError(Reason.ACCELERATOR_UNAVAILABLE, message)
