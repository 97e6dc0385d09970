"""The cache outside the tree: content-addressed, and never half written.

A build is killed sooner or later. Everything enters the cache by one rename, under one lock, so that a
folder that exists is a folder that is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster import layout
from localcluster.progress import say


def digest(parts: Iterable[bytes | str]) -> str:
    """A short content hash (12 hex digits) of the parts in order; parts cannot run into each other."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:12]


def digest_files(root: Path, files: Iterable[Path]) -> str:
    """A short hash of the files' names below `root` and their contents."""
    ordered = sorted(files)
    return digest(part for file in ordered for part in (str(file.relative_to(root)), file.read_bytes()))


def ensure(path: Path, build: Callable[[Path], None]) -> Path:
    """Return the cached folder `path`; if absent, `build` fills a temporary one that is then renamed."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(layout.cache() / "locks" / f"{path.name}.lock", f"another build of {path.name}"):
        if path.exists():
            return path
        forget_unfinished(path)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        build(unfinished)
        unfinished.chmod(0o755)
        os.rename(unfinished, path)
    return path


def forget_unfinished(path: Path) -> None:
    """Remove what a killed build of the same thing left; the lock says nobody is working on it."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def lock(path: Path, holder: str) -> Iterator[None]:
    """Hold an exclusive file lock; the kernel lets go of it when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {holder} to finish")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, so that a reader or a kill never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.chmod(mode)
    os.replace(unfinished, path)
