"""Where a model package may come from: one grammar shared by the CRD, the operator and the runtime.

A scheme is accepted only when the runtime can load it, so that what `kubectl apply` lets through can be served.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

KNOWN_SCHEMES = ("http", "https", "pvc", "file")
"""Schemes the runtime can load. The CRD's pattern is made from this tuple."""

URI_PATTERN = "^(" + "|".join(KNOWN_SCHEMES) + ")://.+"
"""Coarse form of the grammar for the CRD; `parse_uri` is the whole of it."""

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")

_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A parsed model URI.

    `location` is the claim's name for `pvc`, the host (with port) for `http(s)`, empty for `file`.
    `path` is relative to the volume's root for `pvc`, absolute otherwise.
    """

    text: str
    scheme: str
    location: str
    path: str

    @property
    def is_archive(self) -> bool:
        """An HTTP server has no folders, so what it serves is always an archive."""
        return self.scheme in ("http", "https") or self.path.endswith(ARCHIVE_SUFFIXES)

    @property
    def claim(self) -> str | None:
        """Name of the PersistentVolumeClaim to mount, or None when the URI needs no volume."""
        return self.location if self.scheme == "pvc" else None


def parse_uri(text: str) -> ModelUri:
    """Parse and check a model URI.

    Raises:
        ValueError: the scheme is unknown or the rest does not fit it; the message says what to write.
    """
    parts = urlsplit(text)
    check = {"http": _web, "https": _web, "pvc": _volume, "file": _file}.get(parts.scheme)
    if check is None or "://" not in text:
        known = ", ".join(f"{scheme}://" for scheme in KNOWN_SCHEMES)
        raise ValueError(f"{text!r} has no known scheme; use one of {known}")
    return ModelUri(text, parts.scheme, *check(parts.netloc, parts.path))


def _web(netloc: str, path: str) -> tuple[str, str]:
    if "@" in netloc:
        raise ValueError("credentials do not belong in the URI; name a Secret in model.credentials")
    if not netloc or path in ("", "/"):
        raise ValueError("an http(s) URI needs a host and the path of an archive (.tar.gz or .tar)")
    return netloc, path


def _volume(netloc: str, path: str) -> tuple[str, str]:
    if not _CLAIM.fullmatch(netloc):
        raise ValueError("write pvc://CLAIM/PATH, with the name of a PersistentVolumeClaim")
    return netloc, _plain(unquote(path), "pvc://CLAIM/PATH").lstrip("/")


def _file(netloc: str, path: str) -> tuple[str, str]:
    if netloc:
        raise ValueError("a file URI has three slashes: file:///absolute/path")
    return "", _plain(unquote(path), "file:///absolute/path")


def _plain(path: str, form: str) -> str:
    if path.strip("/") == "" or ".." in PurePosixPath(path).parts or "\0" in path:
        raise ValueError(f"the path of {form} must name a folder or archive and must not hold '..'")
    return path
