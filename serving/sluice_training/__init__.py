"""From a data scientist's class to a package: trained reproducibly, evaluated, described, pushed and registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice_training.notebooks import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    # Brought when it is asked for: the command's help needs neither scikit-learn nor ONNX.
    if name in __all__:
        from sluice_training import notebooks  # noqa: PLC0415

        return getattr(notebooks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
