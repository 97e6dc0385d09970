"""Imports the Python code of a package without letting it, or anything else of the process, see the other.

A package's `model.py`, `utils.py` or `metrics.py` would take the place of a library's module of that name, or be taken
for it, if its folder were on `sys.path`: another skew between training and serving. So the modules live below a name
of their own, and an `import helpers` written in one of them finds the package's `helpers` first; nobody else's does.
Nothing is written: a package is read-only, and compiled modules beside it would change its digest.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from sluice.failures import PackageError, Reason

_ROOT = "_sluice_package_"


def import_entrypoint(code: Path, entrypoint: str, identity: str) -> Any:
    """The object that MODULE:NAME stands for below the folder `code`; `identity` tells packages apart.

    Raises:
        PackageError: CodeFailed, with the line of the package's code that failed last.
    """
    module, _, name = entrypoint.partition(":")
    root = _ROOT + identity
    _install(code, root)
    return guarded(code, f"import {module}", lambda: getattr(importlib.import_module(f"{root}.{module}"), name))


def guarded(code: Path, what: str, call: Callable[[], Any]) -> Any:
    """What a call into a package's code returns.

    Raises:
        PackageError: CodeFailed, whatever the call raised.
    """
    try:
        return call()
    except BaseException as error:  # an exit or a cancellation of the package's is its failure, too
        raise PackageError(Reason.CODE_FAILED, f"{what}: {told(error, code)}") from error


def told(error: BaseException, code: Path) -> str:
    """An error of a package's code in one line: its kind, its words, and the last line of the package on its way."""
    words = " ".join(str(error).split())[:600]
    return ": ".join(filter(None, (type(error).__name__, words))) + _place(error, code)


def _place(error: BaseException, code: Path) -> str:
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    own = [(Path(name), line) for name, line in frames if Path(name).is_relative_to(code)]
    return f" (code/{own[-1][0].relative_to(code)}, line {own[-1][1]})" if own else ""


def _install(code: Path, root: str) -> None:
    """Make the package's modules importable below `root`; those of an earlier load are forgotten."""
    for name in [name for name in sys.modules if name == root or name.startswith(f"{root}.")]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "root", None) != root]
    # First, as the ordinary finder would find them by their packages' paths, and run them in the ordinary way.
    sys.meta_path.insert(0, _Finder(code, root))
    package = ModuleType(root)
    package.__path__ = [str(code)]
    sys.modules[root] = package


class _Finder(MetaPathFinder):
    """Finds the modules of one package: Python source alone."""

    def __init__(self, code: Path, root: str) -> None:
        self.root = root
        self._code = code
        self._import = _own_import(code, root)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of that name, if it is one of the package's."""
        if not fullname.startswith(f"{self.root}."):
            return None
        place = self._code.joinpath(*fullname.split(".")[1:])
        for file, folder in ((place / "__init__.py", [str(place)]), (place.with_name(f"{place.name}.py"), None)):
            if file.is_file():
                loader = _Loader(fullname, file, self._import)
                return importlib.util.spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=folder
                )
        return None


class _Loader(SourceLoader):
    """Runs a module's source with an `import` of its own. It neither reads nor writes compiled modules."""

    def __init__(self, name: str, file: Path, own_import: Callable[..., Any]) -> None:
        self._name = name
        self._file = file
        self._import = own_import

    def get_filename(self, fullname: str) -> str:
        """Path of the source."""
        return str(self._file)

    def get_data(self, path: str | bytes) -> bytes:
        """Its bytes."""
        return Path(path if isinstance(path, str) else path.decode()).read_bytes()

    def exec_module(self, module: ModuleType) -> None:
        """Run the module in itself."""
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)


def _is_own(code: Path, top: str) -> bool:
    """Whether a package has a module of that name. A folder without `__init__.py` is one where it holds sources and no
    library has that name: it may be a folder of files.
    """
    if (code / f"{top}.py").is_file() or (code / top / "__init__.py").is_file():
        return True
    if top in sys.modules or next((code / top).rglob("*.py"), None) is None:
        return False
    library = importlib.util.find_spec(top)
    return library is None or library.origin is None


def _own_import(code: Path, root: str) -> Callable[..., Any]:
    """`__import__` as the package's modules see it."""

    def own(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level or not _is_own(code, top):
            return builtins.__import__(name, globals_, locals_, fromlist, level)
        found = builtins.__import__(f"{root}.{name}", globals_, locals_, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{root}.{top}"]

    return own
