"""Lets scikit-learn pass columns of a `pyarrow.Table` through.

It selects from such tables by itself, but "passthrough" asks for an adapter of the table's library, of which it has
those of pandas and polars alone. Arrow is there already; another data frame would be fifty megabytes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.utils._set_output import ADAPTERS_MANAGER


class ArrowAdapter:
    """As scikit-learn's ContainerAdapterProtocol has it."""

    container_lib = "pyarrow"

    def create_container(self, X_output: Any, X_original: Any, columns: Any, inplace: bool = False) -> pa.Table:  # noqa: N803
        """A table of a table or an array, with these names."""
        names = columns() if callable(columns) else columns
        if isinstance(X_output, pa.Table):
            return X_output if names is None else self.rename_columns(X_output, names)
        return pa.table({str(name): np.asarray(X_output)[:, place] for place, name in enumerate(names)})

    def is_supported_container(self, X: Any) -> bool:  # noqa: N803
        """Whether it is a table."""
        return isinstance(X, pa.Table)

    def rename_columns(self, X: pa.Table, columns: Sequence[str]) -> pa.Table:  # noqa: N803
        """The table with other names."""
        return X.rename_columns([str(name) for name in columns])

    def hstack(self, Xs: Sequence[pa.Table]) -> pa.Table:  # noqa: N803
        """Tables side by side."""
        return pa.table({name: table.column(name) for table in Xs for name in table.column_names})


def adapt() -> None:
    """Make the adapter known; doing it again changes nothing."""
    if ArrowAdapter.container_lib not in ADAPTERS_MANAGER.adapters:
        ADAPTERS_MANAGER.register(ArrowAdapter())
