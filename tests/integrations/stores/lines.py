"""A line that breaks: a TCP proxy that cuts connections after so many bytes, and calls for worse at others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

PIECE = 64 * 1024


class Line:
    """Everything that the store sends passes here. `at`: what to do when that many bytes have passed, each once.

    The connection on which it happens is cut first.
    """

    def __init__(self, port: int, at: dict[int, Callable[[], None]]) -> None:
        self._to = ("127.0.0.1", port)
        self._at = dict(sorted(at.items()))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.passed = 0
        self.cuts = 0

    def run(self) -> None:
        """Serve until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(caller,))
                thread.start()
                self._threads.append(thread)

    def close(self) -> None:
        """Stop, and wait for what is under way."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError), socket.create_connection(self._to, timeout=60) as store:
            back = threading.Thread(target=self._ask, args=(caller, store))
            back.start()
            try:
                self._answer(store, caller)
            finally:
                for end in (caller, store):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                back.join()

    def _ask(self, caller: socket.socket, store: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := caller.recv(PIECE):
                store.sendall(piece)
            store.shutdown(socket.SHUT_WR)  # a store waits for the next request otherwise, and we for the store

    def _answer(self, store: socket.socket, caller: socket.socket) -> None:
        while piece := store.recv(PIECE):
            caller.sendall(piece)
            fault = self._count(len(piece))
            if fault is not None:
                # Closing alone says nothing while another thread still reads from it.
                caller.shutdown(socket.SHUT_RDWR)
                fault()
                return

    def _count(self, count: int) -> Callable[[], None] | None:
        with self._lock:
            self.passed += count
            due = next((mark for mark in self._at if mark <= self.passed), None)
            if due is None:
                return None
            self.cuts += 1
            return self._at.pop(due)


@contextlib.contextmanager
def line_to(port: int, at: dict[int, Callable[[], None]]) -> Iterator[Line]:
    """A line to a port of loopback, gone afterwards."""
    line = Line(port, at)
    thread = threading.Thread(target=line.run)
    thread.start()
    try:
        yield line
    finally:
        line.close()
        thread.join()


def nothing() -> None:
    """A cut and no more."""
