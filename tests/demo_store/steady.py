"""A steady load through the app's own code, and every answer of it as a record that can be judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from demo_store.callers import app_pod, with_token
from demo_store.dataset import STORES
from demo_store.files import EXAMPLE
from support.kube import DeadlineError, Kube
from support.pods import config_map

NAME = "shop-load"
SCRIPT = Path(__file__).with_name("load.py")
RATE = 40.0
"""Requests a second: few for a model, enough for an analysis to judge by, and cheap on a machine with two cores."""


PAUSE = 0.5
"""Seconds between two looks at what was answered."""


class Answer(NamedTuple):
    """`began` in unix seconds, `milliseconds` until the answer; `value` the revenue, or why there is none."""

    began: float
    milliseconds: float
    store: int
    status: int
    revision: str | None
    notes: str | None
    value: float | str


@dataclass
class Load:
    """A pod that asks about one store after the other until it is taken away."""

    kube: Kube

    def answers(self) -> list[Answer]:
        """Everything so far."""
        return [Answer(*json.loads(line)) for line in self.kube.run("logs", NAME).splitlines()]

    def until(self, holds: Callable[[Answer], bool], timeout: float) -> Answer:
        """The first answer for which the predicate holds.

        Raises:
            DeadlineError: there was none within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = next(filter(holds, self.answers()), None)
            if found is not None:
                return found
            time.sleep(PAUSE)
        raise DeadlineError(f"no such answer within {timeout:.0f} s")


@contextmanager
def steady_load(kube: Kube, image: str, url: str, account: str) -> Iterator[Load]:
    """Ask as an account, from a pod of its own."""
    files = {"app.py": (EXAMPLE / "app.py").read_text(), "load.py": SCRIPT.read_text()}
    words = ["/files/load.py", str(RATE), str(STORES)]
    pod = with_token(app_pod(NAME, image, url, words, scripts=NAME), account)
    kube.apply(config_map(NAME, files), pod)
    kube.wait(f"pod/{NAME}", "condition=Ready")
    try:
        yield Load(kube)
    finally:
        kube.run("delete", "pod", NAME, "--ignore-not-found", "--wait=false")
