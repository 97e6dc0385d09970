"""What a mounted Secret holds for the step that downloads: one file a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sluice.failures import PackageError, Reason

CA_KEY = "ca.crt"

_VISIBLE = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Secret:
    """The keys of spec.model.credentials. A folder that is not there is a Secret without keys."""

    folder: Path

    def get(self, *names: str) -> str | None:
        """The value of the first of these keys that is there, without the newline that editors leave.

        Raises:
            PackageError: SourceForbidden for a value that is no text.
        """
        for name in names:
            path = self.folder / name
            if path.is_file():
                try:
                    return path.read_text(encoding="utf-8").strip()
                except UnicodeDecodeError as error:
                    message = f"the key {name} of the Secret in spec.model.credentials is no text"
                    raise PackageError(Reason.SOURCE_FORBIDDEN, message) from error
        return None

    @property
    def ca(self) -> Path | None:
        """File with the certificate of a private CA, None where the public ones are enough."""
        path = self.folder / CA_KEY
        return path if path.is_file() else None


def sendable(token: str) -> str:
    """The same token, which a header can carry: what fails to encode later is quoted where it fails.

    Raises:
        PackageError: SourceForbidden for anything but visible ASCII.
    """
    if not _VISIBLE.fullmatch(token):
        message = "the token holds characters that no header can carry; check the Secret in spec.model.credentials"
        raise PackageError(Reason.SOURCE_FORBIDDEN, message)
    return token
