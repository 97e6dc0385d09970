"""HTTP/2 with a caller in memory: whatever pieces requests come in, whatever windows the caller keeps open."""

import pytest
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.http2 import frames
from sluice_runtime.http2.frames import Code, frame, goaway, long_at, rst_stream
from sluice_runtime.http2.hpack import literal
from sluice_runtime.http2.requests import MAX_NUISANCES
from sluice_runtime.http2.settings import CONNECTION_WINDOW, MAX_STREAMS
from support.http2_peer import Caller, raw

WINDOW = SettingCodes.INITIAL_WINDOW_SIZE
HEAD = b"\x83\x86\x84" + literal(b":authority", b"a")
"""POST, http, `/`."""


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans()), min_size=1, max_size=6),
    st.lists(st.integers(0, 10_000), max_size=30),
)
def test_requests_are_understood_in_whatever_pieces_they_come(requests, cuts):
    caller = Caller()
    caller.h2.initiate_connection()
    for place, (body, trailers) in enumerate(requests):
        caller.ask(2 * place + 1, body, end=not trailers)
        if trailers:
            caller.h2.send_headers(2 * place + 1, [("x-end", "1")], end_stream=True)
    caller.exchange(cuts)
    assert caller.ended() == [2 * place + 1 for place in range(len(requests))]
    for place, (body, _) in enumerate(requests):
        assert caller.body(2 * place + 1) == (body or b"a whole page")
    assert caller.door.buffered == 0


@given(
    st.lists(st.integers(0, 40_000), min_size=1, max_size=5),
    st.integers(0, 70_000),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30_000)), max_size=30),
)
def test_answers_keep_to_the_callers_windows_and_come_whole_once_they_open(sizes, window, openings):
    caller = Caller().greet({WINDOW: window})
    for place, size in enumerate(sizes):
        caller.ask(2 * place + 1, path=f"/{size + 1}")
    caller.exchange()  # the library raises when more comes than its windows allow
    for stream, more in openings:
        open_ = 2 * stream + 1 not in caller.ended() and stream < len(sizes)
        if not stream or open_:
            caller.h2.increment_flow_control_window(more, 2 * stream + 1 if stream else None)
        caller.exchange()
    caller.h2.increment_flow_control_window(200_000)
    caller.h2.update_settings({WINDOW: 200_000})
    caller.exchange()
    assert sorted(caller.ended()) == [2 * place + 1 for place in range(len(sizes))]
    assert [len(caller.body(2 * place + 1)) for place in range(len(sizes))] == [size + 1 for size in sizes]
    assert caller.door.buffered == 0


def test_answers_of_one_turn_leave_in_one_write():
    caller = Caller().greet()
    for number in range(1, 33, 2):
        caller.ask(number, b"x")
    caller.line.data_received(caller.h2.data_to_send())
    assert not caller.transport.written
    caller.loop.turn()
    assert len(caller.h2.receive_data(caller.transport.take())) >= 16 * 3


def test_a_long_body_is_let_in_as_it_is_taken():
    caller = Caller().greet()
    caller.ask(1, end=False)
    sent = 0
    while sent < 3 * CONNECTION_WINDOW:
        size = min(caller.h2.local_flow_control_window(1), 16384)
        assert size
        caller.h2.send_data(1, b"x" * size)
        caller.exchange()
        sent += size
    caller.h2.end_stream(1)
    caller.exchange()
    assert len(caller.pages[0].body) == sent


def test_a_callers_cancel_is_heard_and_its_stream_forgotten():
    caller = Caller().greet()
    caller.ask(1, b"x", end=False)
    caller.h2.reset_stream(1)
    caller.exchange()
    assert caller.pages[0].lost
    caller.ask(3, b"x")
    caller.exchange()
    assert caller.ended() == [3]


def test_a_cancelled_answer_leaves_nothing_behind():
    caller = Caller().greet({WINDOW: 10})
    caller.ask(1, path="/100000")
    caller.exchange()
    assert caller.door.buffered > 0
    caller.h2.reset_stream(1)
    caller.exchange()
    assert caller.door.buffered == 0
    assert caller.pages[0].closed


def test_a_caller_that_shrinks_its_table_is_told_that_none_is_used():
    caller = Caller().greet({SettingCodes.HEADER_TABLE_SIZE: 0})
    for number in (1, 3):
        caller.ask(number)
    caller.exchange()  # the library raises where an encoder does not follow
    assert caller.ended() == [1, 3]


def test_leaving_answers_what_was_asked_and_asks_others_to_go_elsewhere():
    caller = raw()
    caller.deliver(HEADERS + frame(frames.DATA, 0, 1, b"x"))
    caller.line.leave()
    caller.loop.turn()
    assert caller.transport.take().startswith(goaway(frames.MAX_STREAM_ID, Code.NO_ERROR))
    # Begun before the caller had heard: answered too, even where its answer to the ping overtakes them.
    caller.deliver(frame(frames.PING, frames.ACK, 0, b"farewell") + frame(frames.HEADERS, 0x5, 3, HEAD))
    caller.loop.now += 1
    caller.loop.turn()
    caller.loop.turn()
    assert goaway(3, Code.NO_ERROR) in caller.transport.take()
    caller.line.data_received(frame(frames.HEADERS, 0x5, 5, HEAD))
    assert [page.id for page in caller.pages] == [1, 3]
    assert not caller.transport.closed
    caller.line.data_received(frame(frames.DATA, 0x1, 1, b"y"))
    assert caller.transport.closed
    assert b"xy" in caller.transport.take()


def test_a_caller_that_never_hears_of_the_end_is_left_all_the_same():
    caller = raw()
    caller.line.leave()
    caller.loop.now = 10
    caller.loop.turn()
    assert caller.transport.closed


def last_words(caller):
    """Code and words of the GOAWAY that was written last."""
    caller.loop.turn()
    data = caller.transport.take()
    at = data.rindex(b"\x07\x00\x00\x00\x00\x00")
    size = int.from_bytes(data[at - 3 : at], "big")
    return Code(long_at(data, at + 10)), data[at + 14 : at + 6 + size].decode()


HEADERS = frame(frames.HEADERS, 0x4, 1, HEAD)
FLOODS = {
    "rapid reset": b"".join(
        frame(frames.HEADERS, 0x4, n, HEAD) + rst_stream(n, Code.CANCEL) for n in range(1, 2 * MAX_NUISANCES + 5, 2)
    ),
    "pings": frame(frames.PING, 0, 0, bytes(8)) * (MAX_NUISANCES + 1),
    "settings": frame(frames.SETTINGS, 0, 0) * (MAX_NUISANCES + 1),
    "priorities": frame(frames.PRIORITY, 0, 1, bytes(5)) * (MAX_NUISANCES + 1),
    "empty data": HEADERS + frame(frames.DATA, 0, 1) * (MAX_NUISANCES + 1),
    "window updates": frames.window_update(0, 1) * (MAX_NUISANCES + 1),
    "unknown frames": frame(77, 0, 0) * (MAX_NUISANCES + 1),
    "data of nobody": HEADERS + rst_stream(1, Code.CANCEL) + frame(frames.DATA, 0, 1) * (MAX_NUISANCES + 1),
    "continuations": frame(frames.HEADERS, 0, 1, HEAD) + frame(frames.CONTINUATION, 0, 1) * 100,
    "headers without end": frame(frames.HEADERS, 0, 1, HEAD) + frame(frames.CONTINUATION, 0, 1, bytes(16384)) * 5,
    "malformed requests": b"".join(frame(frames.HEADERS, 0x5, n, b"\x83") for n in range(1, 2 * MAX_NUISANCES + 5, 2)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(name):
    caller = raw()
    caller.deliver(FLOODS[name])
    assert last_words(caller)[0] is Code.ENHANCE_YOUR_CALM
    assert caller.refusals == ["flood"]
    assert all(page.lost for page in caller.pages)


def test_those_who_are_served_may_ping_and_give_up_as_they_like():
    caller = raw()
    for number in range(1, 4 * MAX_NUISANCES, 4):
        caller.deliver(frame(frames.HEADERS, 0x5, number, HEAD) + frame(frames.PING, 0, 0, bytes(8)))
        caller.deliver(frame(frames.HEADERS, 0x4, number + 2, HEAD) + rst_stream(number + 2, Code.CANCEL))
    assert not caller.refusals


def test_streams_beyond_the_limit_are_refused_alone():
    caller = raw()
    caller.deliver(b"".join(frame(frames.HEADERS, 0x4, 2 * place + 1, HEAD) for place in range(MAX_STREAMS + 1)))
    assert rst_stream(2 * MAX_STREAMS + 1, Code.REFUSED_STREAM) in caller.transport.take()
    assert len(caller.pages) == MAX_STREAMS


def test_open_streams_and_their_heads_count_as_what_all_hold_together():
    caller = raw(max_buffered_bytes=100_000)
    block = HEAD + literal(b"x", b"a" * 14_000)
    caller.deliver(b"".join(frame(frames.HEADERS, 0x4, number, block) for number in range(1, 21, 2)))
    assert rst_stream(13, Code.REFUSED_STREAM) in caller.transport.take()
    assert caller.refusals == ["memory"] * 4
    assert len(caller.pages) == 6
    caller.deliver(b"".join(frame(frames.DATA, 1, number) for number in range(1, 13, 2)))
    assert caller.door.buffered == 0


def test_more_than_the_window_is_a_fault():
    caller = raw()
    caller.deliver(HEADERS)
    caller.line.data_received(b"".join(frame(frames.DATA, 0, 1, bytes(16384)) for _ in range(16)))
    assert rst_stream(1, Code.FLOW_CONTROL_ERROR) not in caller.transport.take()
    page = caller.pages[0]
    page.window_in = 100
    caller.deliver(frame(frames.DATA, 0, 1, bytes(101)))
    assert rst_stream(1, Code.FLOW_CONTROL_ERROR) in caller.transport.take()


def test_what_is_no_http_2_is_told_so():
    caller = Caller()
    caller.deliver(b"GET / HTTP/1.1\r\n\r\n")
    assert last_words(caller) == (Code.PROTOCOL_ERROR, "this is not HTTP/2")
    assert caller.transport.eof


@pytest.mark.parametrize("sent", [b"", b"PRI * HT", frames.PREFACE])
def test_a_caller_that_never_begins_is_cut(sent):
    caller = Caller(head_seconds=5)
    caller.deliver(sent)
    caller.line.sweep(4.0)
    assert not caller.transport.eof
    caller.line.sweep(6.0)
    assert caller.transport.eof
    assert caller.refusals == ["slow_client"]


def test_an_idle_caller_is_asked_to_leave():
    caller = Caller().greet()
    caller.line.sweep(61.0)
    caller.loop.turn()
    assert caller.transport.take().startswith(goaway(frames.MAX_STREAM_ID, Code.NO_ERROR))
    caller.deliver(frame(frames.PING, frames.ACK, 0, b"farewell"))
    caller.loop.now += 1
    caller.loop.turn()
    assert caller.transport.closed


def test_an_answer_that_is_never_taken_is_cut():
    caller = Caller().greet({WINDOW: 0})
    caller.ask(1, path="/100")
    caller.exchange()
    caller.line.sweep(31.0)
    assert caller.transport.aborted


def test_a_caller_that_does_not_read_is_not_listened_to():
    caller = Caller().greet()
    caller.line.pause_writing()
    assert caller.transport.reading_paused
    caller.line.resume_writing()
    assert not caller.transport.reading_paused
    assert caller.door.buffered == 0


def test_a_lost_connection_abandons_its_streams():
    caller = raw()
    caller.deliver(HEADERS)
    caller.line.connection_lost(None)
    assert caller.pages[0].lost
    assert not caller.door.state.connections


def test_connections_beyond_the_limit_are_told_apart_and_those_far_beyond_refused():
    first = Caller(max_connections=1)
    assert not first.line.surplus
    lines = []
    for _ in range(33):
        caller = Caller(max_connections=1)
        caller.door.state = first.door.state
        caller.line.connection_made(caller.transport)  # type: ignore[arg-type]
        lines.append(caller)
    assert lines[0].line.surplus
    assert lines[-1].refusals == ["connections"]
