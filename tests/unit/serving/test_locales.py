"""A text model loads on an image that has no language of its own."""

import os
import subprocess
import sys
from pathlib import Path

from sluice_runtime.locales import offer


def test_the_universal_locale_is_offered_under_the_missing_name(tmp_path: Path) -> None:
    (tmp_path / "installed" / "C.utf8").mkdir(parents=True)
    (tmp_path / "offered").mkdir()
    offer(tmp_path / "installed", tmp_path / "offered")
    assert (tmp_path / "offered" / "en_US.utf8").samefile(tmp_path / "installed" / "C.utf8")
    assert (tmp_path / "offered" / "C.utf8").is_dir()


def test_while_a_graph_is_loaded_the_c_library_knows_it_and_nothing_is_left_behind(tmp_path: Path) -> None:
    program = "from sluice_runtime.locales import *\nwith default_locale(): print(known(DEFAULT_OF_ONNX))"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert list(tmp_path.iterdir()) == []
