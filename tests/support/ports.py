"""Ports for programs that are told where to listen.

A port that was free a moment ago may be gone before the program takes it: the kernel gives it to the next one that asks
for any, or to an end of a connection, were it that of the caller who waits for the program, and then talks to itself.
So each is held: bound and never listened on. Connections are refused, the kernel gives it to nobody, and a program that
may reuse addresses, as servers do, listens on it all the same.
"""

import socket
from collections import deque

HELD = 256
"""Enough for all that is alive at a time, and few enough for the files that a process may open."""

_held: deque[socket.socket] = deque()


def free_port(host: str = "127.0.0.1") -> int:
    """A port of an address of this machine that stays free until HELD others were asked for."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((host, 0))
    _held.append(one)
    while len(_held) > HELD:
        _held.popleft().close()
    return int(one.getsockname()[1])
