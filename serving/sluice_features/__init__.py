"""Feature creation: from a warehouse into the online store, and into training data, by one set of definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice_features.history import Features, load

__all__ = ["Features", "load"]


def __getattr__(name: str) -> Any:
    # Brought when it is asked for: the commands' help needs neither DuckDB nor Arrow.
    if name in __all__:
        from sluice_features import history  # noqa: PLC0415

        return getattr(history, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
