"""What the head of an HTTP/2 request may say. Source: RFC 9113, sections 8.2 and 8.3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sluice_runtime.http2.hpack import Decoder, Field

Fields = Mapping[bytes, bytes]
"""Header fields by name, pseudo-header fields among them; of a name that is there twice the last."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\0\r\n]")
_REQUIRED = frozenset((b":method", b":scheme", b":path"))
_PSEUDO = _REQUIRED | {b":authority"}
_OF_CONNECTIONS = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_KEPT = 256
_KNOWN_BLOCKS = 64
_KNOWN_BYTES = 1024
"""Of a block that is kept; longer ones are not sent again and again."""

_well_formed: set[tuple[bytes, ...]] = set()
"""Names of heads that were found in order: callers send the same ones again and again."""


class MalformedError(Exception):
    """A head or trailers that no peer may send."""


class Heads:
    """Reads the heads of one connection. Blocks that say the same and change no table are read once."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """A request's head.

        Raises:
            Http2Error: the block is broken.
            TooManyFieldsError, MalformedError: the block is whole, but no head.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._decoder.changes
        fields = self._decode(block)
        head = read_head(fields)
        unchanged = self._decoder.changes == before
        if unchanged and len(block) <= _KNOWN_BYTES and len(self._known) < _KNOWN_BLOCKS:
            self._known[block] = head
        return head

    def read_trailers(self, block: bytes) -> None:
        """Check the fields behind a body; nothing is done with them.

        Raises:
            Http2Error: the block is broken.
            TooManyFieldsError, MalformedError: the block is whole, but no trailers.
        """
        _check_regular([name for name, _ in self._decode(block)])

    def _decode(self, block: bytes) -> list[Field]:
        before = self._decoder.changes
        try:
            return self._decoder.decode(block)
        finally:
            if self._decoder.changes != before:
                self._known.clear()


def read_head(fields: Sequence[Field]) -> Fields:
    """The fields of a request's head by name.

    Raises:
        MalformedError: names out of order, missing or forbidden; a path that is empty.
    """
    if not fields:
        raise MalformedError
    names, values = zip(*fields, strict=True)
    if names not in _well_formed:
        _check_pseudo(names)
        if len(_well_formed) < _KEPT:
            _well_formed.add(names)
    head = dict(fields)
    if not head[b":path"] or head.get(b"te", b"trailers") != b"trailers" or _BAD_VALUE.search(b" ".join(values)):
        raise MalformedError
    return head


def _check_pseudo(names: tuple[bytes, ...]) -> None:
    count = sum(name.startswith(b":") for name in names)
    pseudo = frozenset(names[:count])
    if len(pseudo) != count or not _REQUIRED <= pseudo <= _PSEUDO or names.count(b"content-length") > 1:
        raise MalformedError
    _check_regular(names[count:])


def _check_regular(names: Sequence[bytes]) -> None:
    for name in names:
        if _NAME.fullmatch(name) is None or name in _OF_CONNECTIONS:
            raise MalformedError
