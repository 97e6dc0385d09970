"""Calls what a data scientist wrote, so that whatever goes wrong in it is told in one line with its place."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sluice_training.errors import TrainingError

T = TypeVar("T")


def guarded(model: Any, method: str, call: Callable[[], T]) -> T:
    """Call a data scientist's method.

    Raises:
        TrainingError: whatever it raised, in one line with the place in their code.
    """
    try:
        return call()
    except TrainingError:
        raise
    except Exception as error:  # it is other people's code
        kind = model if isinstance(model, type) else type(model)
        raise TrainingError(f"{kind.__name__}.{method} failed{_place(error)}: {_told(error)}") from error


def _place(error: Exception) -> str:
    """The innermost line that is not a library's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    own = [frame for frame in frames if Path(frame.filename).resolve().parent != Path(__file__).resolve().parent]
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    if "could not convert string to float" in text:
        return f"{text}; a column of text needs an encoder, such as OneHotEncoder in a ColumnTransformer"
    if "contains NaN" in text:
        return "a value is missing where the estimator takes none; put a SimpleImputer before it"
    return f"{type(error).__name__}: {text}"
