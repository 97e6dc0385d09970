"""What lies in a store: NAME/VERSION.tar.gz for a package, and beside it NAME/VERSION.json, which says what it is.

The description is small and written first, under the condition that it is not there: so of two who publish the same
version one wins, however long the packages take. It says what its author said; only the digest, checked when a package
is fetched, is proof.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.digest import DIGEST_PATTERN
from sluice.package import Package

ARCHIVE = ".tar.gz"
DESCRIPTION = ".json"
ANNOTATION = "dev.sluice.package."
"""What our annotations of an artifact in a registry begin with."""

MAX_DESCRIPTION_BYTES = 64 * 1024
"""A card has 4,096 characters at most; more is no description."""


class Description(BaseModel):
    """A published package in its author's words; equal packages have equal descriptions.

    `size` and `sha256` are of the archive, in bytes and hex digits; `digest` is of the package.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    api_version: Literal["sluice.dev/published/v1"] = Field(default="sluice.dev/published/v1", alias="apiVersion")
    name: str = Field(max_length=128)
    version: str = Field(max_length=64)
    digest: str = Field(pattern=DIGEST_PATTERN)
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    signed: bool = False
    owner: str | None = Field(default=None, max_length=256)
    license: str | None = Field(default=None, max_length=256)
    description: str | None = Field(default=None, max_length=4096)

    def to_json(self) -> bytes:
        """The text that is put into the store."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode() + b"\n"

    def to_annotations(self) -> dict[str, str]:
        """The same as annotations of an OCI manifest: those that everybody's tools show, and our own."""
        said = {
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.authors": self.owner,
            "org.opencontainers.image.licenses": self.license,
            "org.opencontainers.image.description": self.description,
            f"{ANNOTATION}name": self.name,
            f"{ANNOTATION}version": self.version,
            f"{ANNOTATION}digest": self.digest,
            f"{ANNOTATION}signed": str(self.signed).lower(),
        }
        return {key: value for key, value in said.items() if value is not None}


def describe(package: Package, size: int, sha256: str, *, signed: bool) -> Description:
    """Describe a package whose archive has this size and checksum."""
    card = package.manifest.card
    return Description(
        name=package.manifest.name,
        version=package.manifest.version,
        digest=package.digest,
        size=size,
        sha256=sha256,
        signed=signed,
        **(card.model_dump() if card else {}),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One package in a listing. What only a description tells is None where there is none; `size` is in bytes.

    `aliases` are names of a registry's that may be moved to another version tomorrow.
    """

    model: str
    version: str
    uri: str
    size: int | None = None
    modified: datetime | None = None
    digest: str | None = None
    owner: str | None = None
    description: str | None = None
    signed: bool | None = None
    aliases: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For programs: what is known, times as RFC 3339."""
        known = {key: value for key, value in asdict(self).items() if value not in (None, ())}
        return known | ({"modified": self.modified.isoformat()} if self.modified else {})
