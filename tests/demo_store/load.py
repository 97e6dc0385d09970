"""Asks about one store after the other, at a steady rate, and prints every answer: a line of JSON each. Runs in a pod:
standard library, and the example's `app.py` beside it.

    [unix seconds at the start, milliseconds, store, status, revision, notes, revenue or error]
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from app import ask  # type: ignore[import-not-found]

THREADS = 4


def worker(index: int, rate: float, stores: int) -> None:
    """One thread's share, offset so that the threads take turns."""
    period, number = THREADS / rate, index
    due = time.monotonic() + period * index / THREADS
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        store = number % stores + 1
        began, clock = time.time(), time.perf_counter()
        try:
            answer = ask([store])
        except OSError as problem:
            answer = {"status": 0, "error": repr(problem)}
        spent = round(1000 * (time.perf_counter() - clock), 2)
        value = answer["revenue"][0] if "revenue" in answer else answer["error"]
        record = [round(began, 3), spent, store, answer["status"], answer.get("revision"), answer.get("notes"), value]
        # One write each: threads share the stream.
        os.write(1, (json.dumps(record) + "\n").encode())
        number += THREADS
        due = max(due + period, time.monotonic())


if __name__ == "__main__":
    for thread in range(THREADS):
        threading.Thread(target=worker, args=(thread, float(sys.argv[1]), int(sys.argv[2]))).start()
