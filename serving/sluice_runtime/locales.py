"""A locale that text models need and small images lack.

ONNX's StringNormalizer (a text vectorizer that lowers case, say) refuses to load without the locale en_US.UTF-8, which
is its default and which slim images do not hold. What it needs of it, upper and lower case of all of Unicode, is in
C.UTF-8 as well, which glibc's own package brings. So that one is offered under the other's name.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

DEFAULT_OF_ONNX = "en_US.UTF-8"
INSTALLED = Path("/usr/lib/locale")
UNIVERSAL = "C.utf8"

_ALL_CATEGORIES = 0x1FBF  # LC_ALL_MASK of glibc's <locale.h>


@contextlib.contextmanager
def default_locale() -> Iterator[None]:
    """Make en_US.UTF-8 known to this process while a graph is loaded, where the machine lacks it."""
    if known(DEFAULT_OF_ONNX):
        yield
    elif not (INSTALLED / UNIVERSAL).is_dir():
        log.warning("this image has neither %s nor %s: text models may not load", DEFAULT_OF_ONNX, UNIVERSAL)
        yield
    else:
        with tempfile.TemporaryDirectory(prefix="locales-") as folder:
            offer(INSTALLED, Path(folder))
            os.environ["LOCPATH"] = folder
            try:
                yield
            finally:
                del os.environ["LOCPATH"]


def offer(installed: Path, folder: Path) -> None:
    """Fill `folder`, for use as LOCPATH, with what is installed and the universal locale under the missing name."""
    for path in installed.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "en_US.utf8").symlink_to(installed / UNIVERSAL)


def known(name: str) -> bool:
    """Whether the C library finds a locale."""
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    library.freelocale.argtypes = [ctypes.c_void_p]
    found = library.newlocale(_ALL_CATEGORIES, name.encode(), None)
    if found:
        library.freelocale(found)
    return bool(found)
