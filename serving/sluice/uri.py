"""Where a model package may come from: one grammar shared by the CRD, the operator and the runtime.

A scheme is accepted only when the runtime can load it, so that what `kubectl apply` lets through can be served.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

OBJECT_SCHEMES = ("s3", "gs", "az")
"""Object stores: a bucket (or container) and a key, or the prefix that the keys of a folder share."""

KNOWN_SCHEMES = ("http", "https", *OBJECT_SCHEMES, "oci", "hf", "models", "pvc", "file")
"""Schemes the runtime can load. The CRD's pattern is made from this tuple."""

URI_PATTERN = "^((" + "|".join(scheme for scheme in KNOWN_SCHEMES if scheme != "models") + ")://|models:/[^/]).+"
"""Coarse form of the grammar for the CRD; `parse_uri` is the whole of it."""

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")

_PARTS = re.compile(r"//([^/?#]*)([^?#]*)")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}")
_HUB_REVISION = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./+-]{0,254}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REGISTERED = re.compile(r"[^/@:%\s]+( +[^/@:%\s]+)*")
_ALIAS = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_VERSION = re.compile(r"[0-9]{1,18}")

_KEY_FORM = "write {scheme}://BUCKET/KEY of an archive (.tar.gz or .tar), or of a folder: {scheme}://BUCKET/PREFIX"
_OCI_FORM = "write oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST"
_HUB_FORM = "write hf://ORGANIZATION/NAME, with @REVISION and /SUBFOLDER where they are wanted"
_REGISTRY_FORM = "write models:/NAME@ALIAS or models:/NAME/VERSION, with one slash and a number as the version"


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A parsed model URI.

    `location` is the claim's name for `pvc`, the host (with port) for `http(s)`, the bucket or container for `s3`, `gs`
    and `az`, the registry (with port) for `oci`, otherwise empty.
    `path` is relative to the volume's root for `pvc`, absolute for `http(s)` and `file`; the key or prefix of an object
    store as it is written there, without slashes around it; the repository for `oci` and `hf`; the name for `models`.
    `reference` says which one of a repository: a tag or `sha256:...` for `oci`, a branch, tag or commit for `hf`,
    `@ALIAS` or a version's number for `models`; otherwise empty.
    `folder` is where in a Hugging Face repository the package is, empty for its root.
    """

    text: str
    scheme: str
    location: str
    path: str
    reference: str = ""
    folder: str = ""

    @property
    def is_archive(self) -> bool:
        """An HTTP server has no folders, so what it serves is always an archive."""
        return self.scheme in ("http", "https") or self.path.endswith(ARCHIVE_SUFFIXES)

    @property
    def is_movable(self) -> bool:
        """True for a tag, a branch or an alias: another package may be meant by it tomorrow."""
        immutable = {"oci": _DIGEST, "hf": _COMMIT, "models": _VERSION}.get(self.scheme)
        return immutable is not None and not immutable.fullmatch(self.reference)

    @property
    def claim(self) -> str | None:
        """Name of the PersistentVolumeClaim to mount, or None when the URI needs no volume."""
        return self.location if self.scheme == "pvc" else None


def parse_uri(text: str) -> ModelUri:
    """Parse and check a model URI.

    Raises:
        ValueError: the scheme is unknown or the rest does not fit it; the message says what to write.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in KNOWN_SCHEMES or not (scheme == "models" or rest.startswith("//")):
        known = ", ".join(f"{scheme}:/" if scheme == "models" else f"{scheme}://" for scheme in KNOWN_SCHEMES)
        raise ValueError(f"{text!r} has no known scheme; use one of {known}")
    if not text.isprintable():
        raise ValueError("a URI must not hold control characters")
    if scheme in OBJECT_SCHEMES:
        return _object(text, scheme, rest[2:])
    by_reference = {"oci": _artifact, "hf": _hub, "models": _registered}.get(scheme)
    if by_reference is not None:
        return by_reference(text, rest)
    location, path = _PARTS.match(rest).groups("")  # type: ignore[union-attr]  # it matches whatever starts with //
    check = {"pvc": _volume, "file": _file}.get(scheme, _web)
    return ModelUri(text, scheme, *check(location, path))


def _web(netloc: str, path: str) -> tuple[str, str]:
    if "@" in netloc:
        raise ValueError("credentials do not belong in the URI; name a Secret in model.credentials")
    if not _HOST.fullmatch(netloc) or path in ("", "/"):
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


def _object(text: str, scheme: str, rest: str) -> ModelUri:
    """Keys are taken as they are written, as the stores' own tools do: nothing in them is percent-decoded."""
    bucket, _, key = rest.partition("/")
    key = key.rstrip("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(_KEY_FORM.format(scheme=scheme))
    _plain(key, _KEY_FORM.format(scheme=scheme).removeprefix("write "))
    if any(part in ("", ".") for part in key.split("/")) or "?" in key or "#" in key:
        raise ValueError(f"the key in {text!r} must not hold '?', '#', '//' or '/./'")
    return ModelUri(text, scheme, bucket, key)


def _artifact(text: str, rest: str) -> ModelUri:
    host, _, named = rest[2:].partition("/")
    named, at, digest = named.partition("@")
    repository, colon, tag = named.partition(":")
    sound = _HOST.fullmatch(host) and len(repository) <= 255 and _REPOSITORY.fullmatch(repository)
    if not sound or (colon and not _TAG.fullmatch(tag)) or (at and not _DIGEST.fullmatch(digest)):
        raise ValueError(_OCI_FORM)
    return ModelUri(text, "oci", host, repository, digest or tag or "latest")


def _hub(text: str, rest: str) -> ModelUri:
    parts = rest[2:].rstrip("/").split("/")
    if parts[0] in ("datasets", "spaces"):
        raise ValueError("a package is in a model repository of Hugging Face: hf://ORGANIZATION/NAME")
    if parts[0] == "models" and len(parts) > 2:
        parts = parts[1:]
    organization, (name, at, revision) = parts[0], (parts[1] if len(parts) > 1 else "").partition("@")
    revision, folder = unquote(revision), unquote("/".join(parts[2:]))
    sound = _HUB_NAME.fullmatch(organization) and _HUB_NAME.fullmatch(name)
    if not sound or (at and not _HUB_REVISION.fullmatch(revision)) or ".." in (organization, name):
        raise ValueError(_HUB_FORM)
    if folder:
        _plain(folder, _HUB_FORM.removeprefix("write "))
    if ".." in PurePosixPath(revision).parts:
        raise ValueError(_HUB_FORM)
    return ModelUri(text, "hf", "", f"{organization}/{name}", revision or "main", folder)


def _registered(text: str, rest: str) -> ModelUri:
    name, at, alias = rest.removeprefix("/").partition("@")
    slash = ""
    if not at:
        name, slash, alias = name.partition("/")
    sound = _ALIAS.fullmatch(alias) if at else slash and _VERSION.fullmatch(alias)
    if not rest.startswith("/") or not sound or not _REGISTERED.fullmatch(unquote(name)):
        raise ValueError(_REGISTRY_FORM)
    return ModelUri(text, "models", "", unquote(name), f"@{alias}" if at else alias)


def _plain(path: str, form: str) -> str:
    if path.strip("/") == "" or ".." in PurePosixPath(path).parts or not path.isprintable():
        raise ValueError(f"the path of {form} must name a folder or archive and must not hold '..'")
    return path
