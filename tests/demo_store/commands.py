"""The `sluice` commands as a data scientist and a data engineer type them, in a folder of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 300.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    said: str
    complained: str

    def checked(self) -> Outcome:
        """Itself, where it went well.

        Raises:
            AssertionError: with what it said.
        """
        assert self.code == 0, f"exit {self.code}\n{self.said}\n{self.complained}"
        return self


@dataclass(frozen=True)
class Workplace:
    """A folder with what a person has written, and the variables of that person's shell."""

    folder: Path
    environ: Mapping[str, str]

    def sluice(self, *words: str) -> Outcome:
        """Run `sluice`."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("sluice")), *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "COLUMNS": "200", **self.environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def read(self, name: str) -> Any:
        """A JSON file that a command wrote."""
        return json.loads((self.folder / name).read_text())
