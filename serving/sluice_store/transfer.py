"""Bytes over a line that breaks, into one file: resumed where they stopped, and never more than allowed.

Every store is read through here, so that each of them survives cuts, restarts and silence in the same way, and none of
them can fill the disk, mix two versions of a file into one, or keep a pod waiting for ever.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice_store.progress import Progress, size

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 10.0

MAX_RETRY_AFTER_SECONDS = 60.0
"""A server may ask for more time than we would give it, but not for a day."""

PROGRESS_BYTES = 64 * 1024
"""What an attempt must bring to count as progress: a server that gives a byte a time is one that gives nothing."""

WINDOW_SECONDS = 60.0
"""PROGRESS_BYTES must arrive in each, or the line counts as dead although it is never quite silent."""

CHUNK_BYTES = 64 * 1024
"""What readers that gather bytes gather at a time: what they hold is lost in a cut."""

UNTRUSTED = "its certificate is not trusted"
"""Said in a TransientError, it has the last word tell what to do about it."""

T = TypeVar("T")


class TransientError(Exception):
    """What may go better next time. `retry_after`: seconds that the server asks to be left alone."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChangedError(Exception):
    """The store says itself that the file is another one than it was before."""


@dataclass(frozen=True, slots=True)
class Part:
    """An answer: the file from byte `offset` on, which may be 0 where a server cannot begin elsewhere.

    `total`: bytes of the whole file. `validator`: ETag, version or the like; None where the store has none, and then
    nothing is resumed: half of one file and half of another would make a third.
    """

    chunks: Iterable[bytes]
    offset: int = 0
    total: int | None = None
    validator: str | None = None


Open = Callable[[int, str | None], AbstractContextManager[Part]]
"""Asks for the file from an offset on, on the condition that it is still the one with this validator.

Raises TransientError, ChangedError or PackageError, also while the chunks are read.
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file to fetch. `name` is for people; `sha256`: 64 hex digits that the whole must have, None to take any."""

    name: str
    open: Open
    max_bytes: int
    fetching: Fetching
    sha256: str | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def save(self, target: Path) -> int:
        """Write the file to `target` and return its size in bytes.

        Raises:
            PackageError: SourceUnreachable after too many attempts without progress, SourceChanged, PackageTooLarge,
                DigestMismatch, and whatever `open` finds.
        """
        patience = Patience(self.name, self.fetching, self.sleep)
        with open(target, "wb") as file:
            landing = _Landing(file, self, Progress(self.name, self.clock))
            while True:
                try:
                    landing.take()
                    break
                except TransientError as error:
                    patience.endure(error, landing.furthest)
                except ChangedError as error:
                    landing.start_over(str(error))
        return landing.finish()


@dataclass(slots=True)
class Patience:
    """How often something is tried: so many attempts without progress, and more of them once something came."""

    name: str
    fetching: Fetching
    sleep: Callable[[float], None] = time.sleep
    _failed: int = 0
    _reached: int = 0

    def endure(self, error: TransientError, furthest: int = 0) -> None:
        """Wait before the next attempt. `furthest`: bytes that were ever here.

        Raises:
            PackageError: SourceUnreachable, when this was the last one.
        """
        if furthest >= self._reached + PROGRESS_BYTES:
            self._failed, self._reached = 0, furthest
        self._failed += 1
        if self._failed >= (self.fetching.resumes if self._reached else self.fetching.attempts):
            raise PackageError(Reason.SOURCE_UNREACHABLE, _unreachable(self.name, self._failed, error)) from error
        log.warning("%s: trying again: %s", self.name, error)
        backoff = min(self.fetching.backoff_seconds * 2 ** (self._failed - 1), MAX_BACKOFF_SECONDS)
        self.sleep(max(backoff, min(error.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS)))


def patiently(name: str, work: Callable[[], T], fetching: Fetching, sleep: Callable[[float], None] = time.sleep) -> T:
    """The result of `work`, a small request that may be repeated; tried again after each TransientError.

    Raises:
        PackageError: SourceUnreachable after the last attempt, and whatever `work` finds.
    """
    patience = Patience(name, fetching, sleep)
    while True:
        try:
            return work()
        except TransientError as error:
            patience.endure(error)


@dataclass(slots=True)
class _Landing:
    """The file as far as it has come, and what is known of the whole."""

    file: IO[bytes]
    transfer: Transfer
    progress: Progress
    received: int = 0
    furthest: int = 0
    total: int | None = None
    validator: str | None = None
    changed: bool = False
    content: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self) -> None:
        """One attempt at what is missing."""
        if self.received and self.received == self.total:
            return  # cut after its last byte
        if self.validator is None:
            self._rewind()
        with self.transfer.open(self.received, self.validator) as part:
            self._accept(part)
            self._write(part.chunks)
        if self.total is not None and self.received != self.total:
            raise TransientError(f"it ended after {self.received} of {self.total} bytes")

    def start_over(self, why: str) -> None:
        """Begin again with the file that is there now: once, because a file that goes on changing is none to serve."""
        if self.changed:
            message = f"{self.transfer.name} changed twice while it was read; give each version a URI of its own"
            raise PackageError(Reason.SOURCE_CHANGED, message)
        log.warning("%s: starting over: %s", self.transfer.name, why)
        self.changed, self.validator, self.total = True, None, None
        self._rewind()

    def finish(self) -> int:
        """Check what came, and say so."""
        if self.transfer.sha256 is not None and self.content.hexdigest() != self.transfer.sha256:
            raise PackageError(
                Reason.DIGEST_MISMATCH,
                f"{self.transfer.name} has the digest sha256:{self.content.hexdigest()}, not "
                f"sha256:{self.transfer.sha256}; its store or the line to it changed the bytes",
            )
        self.progress.done(self.received)
        return self.received

    def _accept(self, part: Part) -> None:
        known = self.validator is not None
        if known and (part.validator or self.validator) != self.validator:
            raise ChangedError("its version is another one now")
        if known and part.total is not None and part.total != (self.total or part.total):
            raise ChangedError(f"it has {part.total} bytes now")
        if part.offset not in (0, self.received):
            raise TransientError(f"the answer begins at byte {part.offset} instead of {self.received}")
        if part.offset == 0:
            self._rewind()
        self.total = part.total or self.total
        self.validator = part.validator or (self.validator if part.offset else None)
        self._check_size(self.total or 0)

    def _write(self, chunks: Iterable[bytes]) -> None:
        opened, mark = self.transfer.clock(), self.received
        for chunk in chunks:
            self._check_size(self.received + len(chunk))
            self.file.write(chunk)
            self.content.update(chunk)
            self.received += len(chunk)
            self.furthest = max(self.furthest, self.received)
            self.progress.at(self.received, self.total)
            if self.transfer.clock() - opened >= WINDOW_SECONDS:
                if self.received - mark < PROGRESS_BYTES:
                    raise TransientError(f"only {self.received - mark} bytes came in {WINDOW_SECONDS:.0f} s")
                opened, mark = self.transfer.clock(), self.received

    def _rewind(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.received, self.content = 0, hashlib.sha256()

    def _check_size(self, count: int) -> None:
        limit = self.transfer.max_bytes
        if count > limit:
            message = f"{self.transfer.name} is larger than {limit} bytes ({size(limit)}); raise spec.model.maxSize"
            raise PackageError(Reason.PACKAGE_TOO_LARGE, message)


def _unreachable(name: str, attempts: int, problem: TransientError) -> str:
    advice = "check the address and the network"
    if UNTRUSTED in str(problem) or "CERTIFICATE_VERIFY_FAILED" in str(problem):
        advice = "put the certificate of its CA as ca.crt into the Secret named in spec.model.credentials"
    return f"{name} could not be read in {attempts} attempts: {problem}; {advice}"
