"""Asks one HTTP question from inside the cluster, prints the answer as JSON. Runs in a pod: standard library only."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request


def main(url: str, body: str) -> None:
    request = urllib.request.Request(url, data=body.encode() if body else None)
    request.add_header("Content-Type", "application/json")
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    headers = {name.lower(): value for name, value in answer.headers.items()}
    print(json.dumps({"status": answer.status, "headers": headers, "body": answer.read().decode()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
