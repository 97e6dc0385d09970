"""A client in the cluster: a pod that waits, in which one question at a time is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.kube import Kube
from support.pods import python_pod, with_files

NAME = "client"
SCRIPT = Path(__file__).with_name("ask_client.py")


@dataclass(frozen=True)
class Answer:
    """What came back; `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks from its pod."""

    kube: Kube

    def ask(self, url: str, body: Any = None) -> Answer:
        """GET without a body, POST with one; text is sent as it is, anything else as JSON."""
        (answer,) = self.ask_each(url, [{}], body)
        return answer

    def ask_each(self, url: str, headers: Sequence[Mapping[str, str]], body: Any = None) -> list[Answer]:
        """The same question once with each of these headers."""
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        words = ["python3", "/files/ask.py", url, text, json.dumps(headers)]
        return [Answer(**found) for found in json.loads(self.kube.exec(NAME, *words))]


def run_client(kube: Kube, image: str) -> Client:
    """Start the pod in kube's namespace."""
    pod = python_pod(NAME, image, ["-c", "import signal; signal.pause()"])
    kube.delete("pod", NAME)
    kube.apply(*with_files(pod, {"ask.py": SCRIPT.read_text()}))
    kube.wait(f"pod/{NAME}", "condition=Ready")
    return Client(kube)
