"""A caller of HTTP/2 in memory: the library `h2` on one side, the runtime's connection on the other, no clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

from sluice_runtime.http2.connection import Http2Connection
from sluice_runtime.http2.frames import PREFACE, SETTINGS, frame
from support.http2_server import Page, door

REQUEST = ((":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/"))


class Loop:
    """Runs what is due when it is told to; its time is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: list[Callable[[], Any]] = []
        self.later: list[tuple[float, Callable[[], Any]]] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_soon(self, call: Callable[[], Any]) -> None:
        """Run it in the next turn."""
        self.ready.append(call)

    def call_later(self, seconds: float, call: Callable[[], Any]) -> None:
        """Run it when the time has come."""
        self.later.append((self.now + seconds, call))

    def turn(self) -> None:
        """Run what is due."""
        ready, self.ready = self.ready, []
        ready += [call for when, call in self.later if when <= self.now]
        self.later = [timer for timer in self.later if timer[0] > self.now]
        for call in ready:
            call()


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = self.aborted = self.reading_paused = False
        self.eof = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert not self.eof
        self.written += data

    def take(self) -> bytes:
        """What was written since the last time."""
        data, self.written = bytes(self.written), bytearray()
        return data

    def close(self) -> None:
        """End."""
        self.closed = True

    def abort(self) -> None:
        """End at once."""
        self.aborted = self.closed = True

    def write_eof(self) -> None:
        """Write no more."""
        self.eof = True

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def is_closing(self) -> bool:
        """True after the end."""
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        """Nobody is there."""

    def get_write_buffer_size(self) -> int:
        """What a slow reader has left."""
        return 100_000

    def pause_reading(self) -> None:
        """Take no more."""
        self.reading_paused = True

    def resume_reading(self) -> None:
        """Take more."""
        self.reading_paused = False


class Caller:
    """A connection and its caller. `events` are what the caller has heard."""

    def __init__(self, **limits: Any) -> None:
        self.door = door(**limits)
        self.refusals: list[str] = []
        self.door.refused = self.refusals.append
        self.loop, self.transport = Loop(), Transport()
        self.pages: list[Page] = []
        self.line = Http2Connection(self.door, self._page, self.loop)  # type: ignore[arg-type]
        self.line.connection_made(self.transport)  # type: ignore[arg-type]
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events: list[h2.events.Event] = []

    def _page(self, *args: Any) -> Page:
        self.pages.append(Page(*args))
        return self.pages[-1]

    def greet(self, settings: dict[SettingCodes, int] | None = None) -> Caller:
        """Begin as every caller does, perhaps with settings of its own."""
        self.h2.initiate_connection()
        self.exchange()
        if settings:
            self.h2.update_settings(settings)  # type: ignore[arg-type]
            self.exchange()
        return self

    def ask(self, number: int, body: bytes = b"", path: str = "/", end: bool = True) -> None:
        """Send a request."""
        head = [*REQUEST[:3], (":path", path)]
        self.h2.send_headers(number, head, end_stream=end and not body)
        if body:
            self.h2.send_data(number, body, end_stream=end)

    def exchange(self, cuts: Iterable[int] = ()) -> None:
        """Hand over what both sides have to say, the caller's in pieces, until they fall silent."""
        while data := self.h2.data_to_send():
            self.deliver(data, cuts)
        self.listen()
        if self.h2.data_to_send(0) or self.transport.written:
            self.exchange()

    def deliver(self, data: bytes, cuts: Iterable[int] = ()) -> None:
        """Hand bytes to the server."""
        places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        for start, stop in itertools.pairwise(places):
            self.line.data_received(data[start:stop])
        self.loop.turn()

    def listen(self) -> None:
        """Hand to the caller what was written."""
        self.loop.turn()
        self.events += self.h2.receive_data(self.transport.take())

    def heard(self, kind: type[h2.events.Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def body(self, number: int) -> bytes:
        """What has come of an answer."""
        return b"".join(e.data for e in self.heard(h2.events.DataReceived) if e.stream_id == number)

    def ended(self) -> list[int]:
        """The streams whose answers are complete."""
        return [event.stream_id for event in self.heard(h2.events.StreamEnded)]


def raw(**limits: Any) -> Caller:
    """A caller that has greeted by hand, for frames that no library sends."""
    caller = Caller(**limits)
    caller.deliver(PREFACE + frame(SETTINGS, 0, 0))
    caller.transport.take()
    return caller
