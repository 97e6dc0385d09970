"""Asks an HTTP question from inside the cluster, once with each of the given headers, and prints the answers as JSON.

Runs in a pod: standard library only.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any


def ask(url: str, body: str, extra: dict[str, str]) -> dict[str, Any]:
    """One question."""
    data = body.encode() if body else None
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **extra})
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {"status": answer.status, "headers": headers, "body": answer.read().decode()}


if __name__ == "__main__":
    print(json.dumps([ask(sys.argv[1], sys.argv[2], extra) for extra in json.loads(sys.argv[3])]))
