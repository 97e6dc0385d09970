"""Why a model could not be served, in words the operator can put into `status`.

A container hands its last word to the kubelet through its termination log; the operator reads it there. Both ends of
that message live in this module, so that they cannot drift apart.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_right
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

log = logging.getLogger(__name__)

TERMINATION_LIMIT = 4096
"""Bytes of a termination message the kubelet keeps; a longer one would arrive as broken JSON."""


WRONG_COMMAND = 2
"""Exit status of a command line that cannot be parsed, as argparse has it."""

FOR_GOOD = 3
"""Exit status of a command that fails the same way until something is changed: its job does not try it again."""


class Reason(StrEnum):
    """Condition reasons for a model package or runtime that failed."""

    INVALID_CONFIG = "InvalidConfig"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_CHANGED = "SourceChanged"
    ADDRESS_REFUSED = "AddressRefused"
    DIGEST_MISMATCH = "DigestMismatch"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    PACKAGE_TOO_LARGE = "PackageTooLarge"
    INVALID_PACKAGE = "InvalidPackage"
    SIGNATURE_MISSING = "SignatureMissing"
    SIGNATURE_INVALID = "SignatureInvalid"
    MODEL_CORRUPT = "ModelCorrupt"
    OPSET_UNSUPPORTED = "OpsetUnsupported"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    SIGNATURE_UNSUPPORTED = "SignatureUnsupported"
    SAMPLE_MISMATCH = "SampleMismatch"
    ENVIRONMENT_MISMATCH = "EnvironmentMismatch"
    CODE_FAILED = "CodeFailed"
    ACCELERATOR_UNAVAILABLE = "AcceleratorUnavailable"
    FEATURES_INVALID = "FeaturesInvalid"
    FEATURES_REFUSED = "FeaturesRefused"
    FEATURES_UNAVAILABLE = "FeaturesUnavailable"
    NO_SPACE = "NoSpace"
    INTERNAL = "InternalError"

    @property
    def permanent(self) -> bool:
        """True when trying the same thing again cannot help: something has to be changed first."""
        return self not in TRANSIENT

    @property
    def status(self) -> int:
        """Exit status of a command that fails by it."""
        return FOR_GOOD if self.permanent else 1


TRANSIENT = frozenset(
    {
        Reason.SOURCE_UNREACHABLE,
        Reason.SOURCE_CHANGED,
        Reason.FEATURES_UNAVAILABLE,
        Reason.NO_SPACE,
        Reason.INTERNAL,
    }
)


class PackageError(Exception):
    """A model package cannot be used. `message` says what to change."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Failure(BaseModel):
    """A container's last word when it failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    message: str


class Resolved(BaseModel):
    """The resolver's last word when it succeeded: what the URI stands for.

    `uri` is the immutable one behind a reference that moves (a tag, a branch, an alias); empty where the URI is none.
    A `digest` that is empty: the reference stands where it stood (`knownUri`), so nothing was downloaded. `card`: the
    summary of the package's model card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    name: str
    version: str
    uri: str = ""
    card: dict[str, str] = Field(default_factory=dict)


def write_termination(path: str | Path, word: Failure | Resolved) -> None:
    """Write a container's last word. An unwritable log is reported, never raised: the exit code still speaks."""
    text = _fitting(word.model_dump(mode="json", exclude_defaults=True))
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("cannot write the termination log %s: %s", path, error)


def parse_termination(text: str) -> Failure | Resolved | None:
    """Read a container's last word; None when it left none (killed, out of memory, foreign text)."""
    for kind in (Failure, Resolved):
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            continue
    return None


def _fitting(payload: dict[str, Any]) -> str:
    """JSON that the kubelet keeps whole: a card's last entries go first, as they are there to be read alone."""
    card: dict[str, str] = payload.get("card", {})
    while len(text := json.dumps(payload)) > TERMINATION_LIMIT and card:
        card.popitem()
    while len(text := json.dumps(payload)) > TERMINATION_LIMIT:
        payload = _shortened(payload)
    return text


def _shortened(payload: Mapping[str, Any]) -> dict[str, Any]:
    """With as much of the longest text as there is room for, and a sign that this is not all of it."""
    longest = max(payload, key=lambda name: len(json.dumps(payload[name])))
    text: str = payload[longest]

    def cut(length: int) -> dict[str, Any]:
        return {**payload, longest: f"{text[:length]}…"}

    most = bisect_right(range(len(text)), TERMINATION_LIMIT, key=lambda length: len(json.dumps(cut(length))))
    return cut(max(0, most - 1))
