"""What a request's head may say."""

import hpack
import pytest

from sluice_runtime.http2.head import Heads, MalformedError

REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a"), (b"te", b"trailers")]


def read(*fields):
    return Heads().read(hpack.Encoder().encode(list(fields)))


def test_a_head_is_read_by_name():
    assert read(*REQUEST) == dict(REQUEST)


def test_the_same_block_is_read_anew_once_the_table_has_changed():
    heads, encoder = Heads(), hpack.Encoder()
    first = encoder.encode([*REQUEST, (b"x-a", b"1")])
    heads.read(first)
    block = encoder.encode([*REQUEST, (b"x-a", b"1")])
    assert heads.read(block) is heads.read(block)
    heads.read(encoder.encode([*REQUEST, (b"x-a", b"2")]))
    assert heads.read(block)[b"x-a"] != b"1"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        REQUEST[1:],
        [*REQUEST, (b":path", b"/")],
        [*REQUEST, (b":status", b"200")],
        [(b"x", b"y"), *REQUEST],
        [*REQUEST, (b"X-Upper", b"1")],
        [*REQUEST, (b"a b", b"1")],
        [*REQUEST, (b"connection", b"close")],
        [*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")],
        [*REQUEST[:2], (b":path", b"")],
        [*REQUEST[:4], (b"te", b"gzip")],
        [*REQUEST, (b"x", b"a\r\nb")],
        [*REQUEST, (b"x", b"a\0")],
    ],
)
def test_what_no_request_may_say_is_malformed(fields):
    with pytest.raises(MalformedError):
        read(*fields)


def test_trailers_have_no_pseudo_fields():
    heads = Heads()
    heads.read_trailers(hpack.Encoder().encode([(b"x", b"1")]))
    with pytest.raises(MalformedError):
        heads.read_trailers(hpack.Encoder().encode([(b":path", b"/")]))
