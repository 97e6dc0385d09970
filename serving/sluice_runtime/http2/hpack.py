"""Header compression of HTTP/2, decoded, and encoded without state. Source: RFC 7541.

The library's decoder takes ten times as long as the rest of a small call; its tables are used here, and the tests hold
this one to it. Answers use nothing of the dynamic table, so that their blocks are constants.
"""

from __future__ import annotations

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from sluice_runtime.http2.frames import Code, Http2Error

Field = tuple[bytes, bytes]

MAX_FIELDS = 128
"""Of one request. A field of the table is handed out by reference, so that repeating it costs no memory."""

TABLE_BYTES = 4096
_ENTRY_BYTES = 32
_STATIC: tuple[Field, ...] = ((b"", b""), *HeaderTable.STATIC_TABLE)
_STATIC_COUNT = len(_STATIC) - 1
_MAX_INTEGER_BYTES = 5


class TooManyFieldsError(Exception):
    """A header block of more fields than are taken; the table has kept in step all the same."""


class Decoder:
    """The peer's dynamic table. `changes` counts how often it was changed: equal blocks decode equally in between."""

    def __init__(self) -> None:
        self.changes = 0
        # The newest entry is the last: index 62 of the wire is -1 here.
        self._table: list[Field] = []
        self._size = 0
        self._limit = TABLE_BYTES

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a header block.

        Raises:
            Http2Error: COMPRESSION_ERROR.
            TooManyFieldsError: it is well-formed, but too long.
        """
        try:
            fields = self._decode(block)
        except (IndexError, HPACKDecodingError) as error:
            raise _broken("a header block is broken") from error
        if len(fields) > MAX_FIELDS:
            raise TooManyFieldsError
        return fields

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        table, at, end = self._table, 0, len(block)
        while at < end:
            first = block[at]
            if first > 0x80:
                index, at = first & 0x7F, at + 1
                if index > _STATIC_COUNT:
                    if index == 0x7F:
                        index, at = _continued(block, at, index)
                    # Beyond the oldest entry is an IndexError.
                    fields.append(table[_STATIC_COUNT - index])
                else:
                    fields.append(_STATIC[index])
            elif first >= 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._insert(field)
                fields.append(field)
            elif first >= 0x20:
                if fields:
                    raise _broken("a table's size changes in the middle of a header block")
                limit, at = _integer(block, at, 0x1F)
                self._resize(limit)
            else:
                field, at = self._literal(block, at, 0x0F)
                fields.append(field)
        return fields

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        index, at = _integer(block, at, mask)
        if index == 0:
            name, at = _text(block, at)
        elif index <= _STATIC_COUNT:
            name = _STATIC[index][0]
        else:
            name = self._table[_STATIC_COUNT - index][0]
        value, at = _text(block, at)
        return (name, value), at

    def _insert(self, field: Field) -> None:
        self.changes += 1
        size = len(field[0]) + len(field[1]) + _ENTRY_BYTES
        self._table.append(field)
        self._size += size
        if self._size > self._limit:
            self._evict()

    def _resize(self, limit: int) -> None:
        if limit > TABLE_BYTES:
            raise _broken("a table larger than was announced")
        self.changes += 1
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        """Drop the oldest entries until the table fits; an entry larger than the table empties it."""
        gone = 0
        while self._size > self._limit:
            name, value = self._table[gone]
            self._size -= len(name) + len(value) + _ENTRY_BYTES
            gone += 1
        del self._table[:gone]


def literal(name: bytes, value: bytes) -> bytes:
    """A field that no table keeps, as it is written to a header block."""
    return b"\0" + _length(len(name)) + name + _length(len(value)) + value


def _length(value: int) -> bytes:
    if value < 0x7F:
        return bytes((value,))
    encoded = bytearray((0x7F,))
    value -= 0x7F
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    value = block[at] & mask
    at += 1
    return (value, at) if value < mask else _continued(block, at, value)


def _continued(block: bytes, at: int, value: int) -> tuple[int, int]:
    for place in range(_MAX_INTEGER_BYTES):
        byte = block[at + place]
        value += (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _broken("a number in a header block is too large")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] >= 0x80
    size, at = _integer(block, at, 0x7F)
    end = at + size
    if end > len(block):
        raise _broken("a header block ends before its text")
    text = block[at:end]
    return (decode_huffman(text) if coded else text), end


def _broken(message: str) -> Http2Error:
    return Http2Error(Code.COMPRESSION_ERROR, message)
