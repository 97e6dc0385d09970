"""ONNX Runtime sessions: made for a small pod, warmed before they serve, and honest about why one cannot be made."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from sluice.config import Provider
from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype
from sluice.package import Package
from sluice_runtime.accelerators import load_libraries, session_on
from sluice_runtime.examples import example
from sluice_runtime.locales import default_locale
from sluice_runtime.ortvalues import run_values
from sluice_runtime.running import Runner
from sluice_runtime.signature import Signature, Tensor, Tensors, agree, read_signature

log = logging.getLogger(__name__)

_TOO_NEW = re.compile(r"Opset \d+ is under development|Unsupported model IR version|unsupported .*opset", re.I)


class Predictor(Runner, Protocol):
    """What is served: a session, or a package's code around one."""

    signature: Signature


class Session:
    """A loaded graph. `run` releases the GIL and is safe from several threads."""

    def __init__(self, session: ort.InferenceSession, signature: Signature) -> None:
        self._session = session
        self.signature = signature
        tensors = (*signature.inputs, *signature.outputs)
        self._bfloat16 = {spec.name for spec in tensors if spec.datatype is Datatype.BF16}
        self._options = ort.RunOptions()
        # A failing run raises what ONNX Runtime would print, and a pod's log is JSON.
        self._options.log_severity_level = 4

    def run(self, outputs: list[str], inputs: Tensors) -> list[Tensor]:
        """Run the graph. Whatever it raises is the model's failure: the inputs were checked before."""
        if self._bfloat16:
            return run_values(self._session, outputs, inputs, self._bfloat16, self._options)
        result: list[Tensor] = self._session.run(outputs, inputs, self._options)
        return result

    def stop(self) -> None:
        """Make the current run fail before its next operator, and every later one until `resume`."""
        self._options.terminate = True

    def resume(self) -> None:
        """Let runs succeed again."""
        self._options.terminate = False


def load_session(package: Package, threads: int, spinning: bool, providers: Sequence[Provider] = ()) -> Session:
    """Load a package's graph onto the processors named and check it against its manifest, which with `preprocessing`
    speaks of the code around it.

    Raises:
        PackageError: ModelCorrupt, OpsetUnsupported, SignatureUnsupported, SignatureMismatch or AcceleratorUnavailable.
    """
    options, available = _options(threads, spinning), ort.get_available_providers()
    load_libraries(available)
    make = functools.partial(ort.InferenceSession, str(package.model_path), options, enable_fallback=0)
    try:
        with default_locale():
            session = session_on(providers, lambda wanted: make(providers=wanted), available)
    except PackageError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise _explain(error, package.model_path) from error
    signature = read_signature(session.get_inputs(), session.get_outputs())
    if package.manifest.preprocessing is None:
        agree(signature, package.manifest)
    return Session(session, signature)


Rows = Callable[[int], Tensors]
"""Inputs with so many rows."""


def made_up(session: Predictor) -> Rows:
    """Rows that fit the signature, and are of nobody."""
    return functools.partial(example, session.signature, seed=1)


def warm_up(session: Predictor, max_rows: int, rows_of: Rows) -> None:
    """Run once with one row and once with the largest batch, so that no request pays for first-time allocations.

    A graph may refuse made-up rows and serve real ones well, so a failure here is only logged.
    """
    names = [spec.name for spec in session.signature.outputs]
    for rows in {1, max_rows if session.signature.batchable else 1}:
        try:
            session.run(names, rows_of(rows))
        except Exception as error:
            log.warning("the warm-up with %d rows failed: %s", rows, error)


def _options(threads: int, spinning: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the quota while they wait, and the kernel then stops the whole pod for the period's rest.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3
    _share_arena()
    return options


@functools.cache
def _share_arena() -> None:
    """Register, once a process, a CPU arena that grows by what is asked for; the default doubles and keeps its peak."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    settings = {"arena_extend_strategy": 1}  # 1 is kSameAsRequested
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(settings))


def _explain(error: Exception, path: Path) -> PackageError:
    text = " ".join(str(error).split())
    if _TOO_NEW.search(text):
        opset = re.search(r"(Opset \d+|Unsupported model IR version: \d+)", text)
        return PackageError(
            Reason.OPSET_UNSUPPORTED,
            f"ONNX Runtime {ort.__version__} is too old for this model ({opset[0] if opset else 'opset'}); "
            "export it with a lower target_opset, or use a newer runtime image",
        )
    return PackageError(
        Reason.MODEL_CORRUPT, f"{path.name} cannot be loaded; export it again. ONNX Runtime says: {text[:600]}"
    )


def row_independent(session: Predictor, rows_of: Rows) -> bool:
    """Try whether rows may share a run: two of them must give alone what they give together.

    A graph can have an open first dimension and still mix its rows (a mean over the batch, say). A graph that
    refuses made-up rows cannot be tried; its open first dimension is then believed.
    """
    names = [spec.name for spec in session.signature.outputs]
    pair = rows_of(2)
    try:
        together = session.run(names, pair)
        alone = [session.run(names, {key: value[row : row + 1] for key, value in pair.items()}) for row in (0, 1)]
    except Exception as error:
        log.warning("could not try whether rows are independent: %s", error)
        return True
    return all(_same(whole, [part[i] for part in alone]) for i, whole in enumerate(together))


def _same(whole: Tensor, parts: list[Tensor]) -> bool:
    if whole.ndim == 0 or whole.shape[0] != sum(part.shape[0] for part in parts):
        return False
    joined: Any = np.concatenate(parts)
    if whole.dtype.kind not in "fc":
        return bool(np.array_equal(whole, joined))
    return bool(np.allclose(whole, joined, rtol=1e-2, atol=1e-4, equal_nan=True))
