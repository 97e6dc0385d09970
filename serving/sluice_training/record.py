"""What one needs to train again: the code's digest, and the versions of the libraries that took part.

Nothing here depends on where a checkout lies, when files were written, or what else is installed.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from sluice import __version__
from sluice.model import Model
from sluice_training.errors import TrainingError

ALWAYS = ("numpy", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "scipy", "skl2onnx")
"""Libraries that take part in every training."""

MAX_FILES = 1_000
MAX_BYTES = 16 * 1024**2
NOTEBOOK = "__main__"
OURSELVES = "sluice-serving"


@dataclass(frozen=True, slots=True)
class Code:
    """The sources of a model: its module, and the modules and packages that lie beside it, by relative path."""

    entrypoint: str
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """sha256 of names and contents."""
        content = hashlib.sha256()
        for name, text in sorted(self.files.items()):
            content.update(f"{len(name.encode())}:{name}{len(text)}:".encode() + text)
        return f"sha256:{content.hexdigest()}"

    def copy_to(self, folder: Path) -> None:
        """Write the files below an existing folder."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text)


def code_of(kind: type[Model]) -> Code:
    """The code of a model's class.

    Raises:
        TrainingError: it has none that can be read, or too much lies beside it.
    """
    module = kind.__module__
    if module == NOTEBOOK or not getattr(sys.modules.get(module), "__file__", None):
        return Code(f"notebook:{kind.__qualname__}", {"notebook.py": _source(kind).encode()})
    path = Path(str(sys.modules[module].__file__)).resolve()
    is_package = path.name == "__init__.py"
    root = path.parents[module.count(".") + (1 if is_package else 0)]
    files = dict[str, bytes]()
    for name in sorted({*_sources(root, module), str(path.relative_to(root))}):
        files[name] = (root / name).read_bytes()
        if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_BYTES:
            raise TrainingError(f"too much Python lies beside {path.name}; give the model a folder of its own")
    return Code(f"{module}:{kind.__qualname__}", files)


def libraries(code: Code) -> dict[str, str]:
    """Versions of Python, of the libraries that always take part, and of those that the code imports."""
    known = packages_distributions()
    imported = {name for text in code.files.values() for name in _imported(text)}
    named = {distribution for name in imported for distribution in known.get(name, ())}
    # A checkout is installed without saying so; a wheel says so.
    found = {"python": platform.python_version(), OURSELVES: __version__}
    for name in sorted({*ALWAYS, *(item.lower() for item in named)} - {OURSELVES}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _source(kind: type[Model]) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError) as error:
        raise TrainingError(f"the source of {kind.__name__} cannot be read; write it to a file") from error


def _sources(root: Path, module: str) -> Iterator[str]:
    """Of a module alone: what lies beside it. Of one in a package: the package."""
    top, dot, _ = module.partition(".")
    for entry in [root / top] if dot else root.iterdir():
        if entry.suffix == ".py" and entry.is_file():
            yield entry.name
        elif entry.is_dir() and not entry.name.startswith(".") and (entry / "__init__.py").is_file():
            yield from (str(path.relative_to(root)) for path in entry.rglob("*.py"))


def _imported(text: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
