"""Header compression against the library: the same fields, the same table, and no third way to end."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.http2.frames import Code, Http2Error
from sluice_runtime.http2.hpack import MAX_FIELDS, Decoder, TooManyFieldsError, literal

NAMES = st.sampled_from([b":path", b"content-type", b"grpc-timeout", b"x-a", b"x-" + b"b" * 200])
VALUES = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"/", b"x" * 1000, b"y" * 5000]))
HEADS = st.lists(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=20), max_size=8)


@given(HEADS, st.booleans(), st.lists(st.sampled_from([0, 100, 4096]), max_size=8))
def test_what_the_library_writes_is_read(heads, huffman, sizes):
    encoder, decoder = hpack.Encoder(), Decoder()
    for place, head in enumerate(heads):
        if place < len(sizes):
            encoder.header_table_size = sizes[place]
        fields = [(hpack.NeverIndexedHeaderTuple if secret else hpack.HeaderTuple)(n, v) for n, v, secret in head]
        assert decoder.decode(encoder.encode(fields, huffman)) == [(name, value) for name, value, _ in head]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_taken_and_refused_as_the_library_does(blocks):
    library, decoder = hpack.Decoder(), Decoder()
    for block in blocks:
        try:
            wanted = [tuple(field) for field in library.decode(block, raw=True)]
        except hpack.HPACKError:
            wanted = None
        if wanted is None:
            with pytest.raises(Http2Error) as caught:
                decoder.decode(block)
            assert caught.value.code is Code.COMPRESSION_ERROR
            return
        assert decoder.decode(block) == wanted


@given(st.binary(min_size=1, max_size=300), st.binary(max_size=300))
def test_what_is_written_without_a_table_is_read_by_the_library(name, value):
    assert [tuple(field) for field in hpack.Decoder().decode(literal(name, value), raw=True)] == [(name, value)]


def test_changes_of_the_table_are_told_and_nothing_else_is():
    decoder = Decoder()
    for block, changes in ((b"\x82", 0), (literal(b"x", b"y"), 0), (b"\x40\x01x\x01y", 1), (b"\xbe", 1), (b"\x20", 2)):
        decoder.decode(block)
        assert decoder.changes == changes


def test_a_bomb_of_references_is_refused_and_the_table_keeps_in_step():
    decoder = Decoder()
    decoder.decode(b"\x40" + literal(b"x", b"a" * 4000)[1:])
    with pytest.raises(TooManyFieldsError):
        decoder.decode(b"\xbe" * (MAX_FIELDS + 1) + b"\x40\x01y\x01z")
    assert decoder.decode(b"\xbe") == [(b"y", b"z")]
