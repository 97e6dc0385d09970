"""The contract between data scientists, the operator and the runtime: light enough to import anywhere.

Nothing here imports ONNX Runtime or BentoML, because the operator and a notebook import it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.model import Model

__version__ = "0.1.0"
__all__ = ["Model", "__version__"]


def __getattr__(name: str) -> Any:
    # The operator and `sluice --help` never need NumPy, which the base class does.
    if name == "Model":
        from sluice.model import Model  # noqa: PLC0415

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
