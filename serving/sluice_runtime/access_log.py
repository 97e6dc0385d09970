"""One line of JSON for every answered request, when it is asked for: who, what, how long; never what was in it.

No query strings either: what callers put there is theirs. gRPC calls are not HTTP exchanges of this server, and are
counted by the metrics alone.
"""

from __future__ import annotations

import logging

from sluice_runtime.exchange import Exchange

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
    for name, value in head.headers:
        if name in _CARRIED:
            fields[_CARRIED[name]] = value.decode("latin-1")
    log.info("request", extra={"fields": fields})
