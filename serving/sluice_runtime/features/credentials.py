"""What the store wants to see of the runtime, read anew when the files change: a kubelet renews a Secret's files."""

from __future__ import annotations

import ssl
from pathlib import Path

TOKEN_FILE = "token"  # noqa: S105 - a name
CA_FILE = "ca.crt"

_Mark = tuple[int, int, int]


class Credentials:
    """A bearer token and the authorities to trust, from a folder in which each may be missing."""

    def __init__(self, folder: Path | None) -> None:
        self._token_file = folder / TOKEN_FILE if folder else None
        self._ca_file = folder / CA_FILE if folder else None
        self._token_mark: _Mark | None = None
        self._ca_mark: _Mark | None = None
        self._headers: dict[str, str] = {}
        self._context: ssl.SSLContext | None = None

    def headers(self) -> dict[str, str]:
        """What each call carries.

        Raises:
            OSError: the token is there and cannot be read.
            ValueError: it is not what a header can carry.
        """
        mark = _mark(self._token_file)
        if mark != self._token_mark:
            token = self._token_file.read_text("ascii").strip() if self._token_file and mark else ""
            if not token.isprintable():
                raise ValueError("the token has characters that no header carries")
            self._headers = {"Authorization": f"Bearer {token}"} if token else {}
            self._token_mark = mark
        return self._headers

    def trusts(self) -> ssl.SSLContext:
        """Whom to trust over https; another object when that has changed.

        Raises:
            OSError: the authorities are there and cannot be read.
        """
        mark = _mark(self._ca_file)
        if self._context is None or mark != self._ca_mark:
            self._context = ssl.create_default_context(cafile=self._ca_file if mark else None)
            self._ca_mark = mark
        return self._context


def _mark(file: Path | None) -> _Mark | None:
    """Another one when the file is; None when there is none."""
    if file is None:
        return None
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
