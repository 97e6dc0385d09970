"""One line of JSON for every answered request, when it is asked for: who, what, how long; never what was in it.

No query strings either: what callers put there is theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sluice_runtime.exchange import Exchange
from sluice_runtime.protocol.calls import Call

log = logging.getLogger(__name__)

_CARRIED = {b"x-request-id": "request_id", b"traceparent": "traceparent", b"user-agent": "user_agent"}


def log_exchange(exchange: Exchange) -> None:
    """Write the line of an answered exchange."""
    head = exchange.head
    fields: dict[str, object] = {
        "method": head.method.decode("latin-1"),
        "path": head.target.partition(b"?")[0].decode("latin-1"),
        "status": exchange.status,
        "seconds": round(exchange.seconds(), 3),
        "bytes_in": exchange.size,
        "bytes_out": exchange.written,
        "client": head.client[0] if head.client else None,
    }
    _log(fields, head.headers)


def log_call(call: Call) -> None:
    """Write the line of a gRPC call that has ended; 1 is the status of one whose caller has left."""
    client = call.line.client
    fields: dict[str, object] = {
        "method": call.head[b":method"].decode("latin-1"),
        "path": call.head[b":path"].partition(b"?")[0].decode("latin-1"),
        "grpc_status": call.status,
        "seconds": round(call.seconds(), 3),
        "bytes_in": call.size,
        "bytes_out": call.written,
        "client": client[0] if client else None,
    }
    _log(fields, call.head.items())


def _log(fields: dict[str, object], headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name in _CARRIED:
            fields[_CARRIED[name]] = value.decode("latin-1")
    log.info("request", extra={"fields": fields})
