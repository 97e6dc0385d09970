"""`GET /answers?after=NUMBER`: digests of the answers to marked requests, for the operator."""

from __future__ import annotations

import re

import orjson

from sluice_runtime.answers import Answers
from sluice_runtime.protocol.replies import Scope, Send

_QUERY = re.compile(rb"(?:after=([0-9]{1,18}))?")


async def tell(answers: Answers, scope: Scope, send: Send) -> None:
    """Answer with those that have a higher number."""
    asked = _QUERY.fullmatch(scope["query_string"])
    if scope["method"] == "GET" and asked:
        status, body = 200, orjson.dumps({"answers": answers.after(int(asked[1] or 0))})
    else:
        status, body = 400, orjson.dumps({"error": "only GET /answers?after=NUMBER is served here"})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
