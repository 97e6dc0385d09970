"""Asks one URL again and again, with each of several named sets of headers, and prints what it was answered.

Runs in a pod: standard library only. One line for each round: the times (Unix) at which it began and was done, and a
status by name; 0 where there was no answer.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

EVERY_SECONDS = 0.5


def status(url: str, headers: dict[str, str]) -> int:
    """What one request is answered."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0


def main(url: str, callers: dict[str, dict[str, str]]) -> None:
    """Ask for ever."""
    while True:
        began = time.time()
        seen = {name: status(url, headers) for name, headers in callers.items()}
        print(json.dumps({"at": began, "done": time.time(), **seen}), flush=True)
        time.sleep(max(0.0, EVERY_SECONDS - (time.time() - began)))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
