"""A thin wrapper around kubectl: what a person would type, with deadlines.

Waiting is done by watching: a predicate is asked again whenever the API server reports a change, never after a guess.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

Object = dict[str, Any]
Objects = Mapping[str, Object]
REQUEST_TIMEOUT = 60.0
RECONNECT_SECONDS = 0.2
BRIEF = 1500


class KubectlError(Exception):
    """kubectl failed; the message is its own."""


class DeadlineError(AssertionError):
    """Something waited for did not come about in time; the message shows what was seen last."""


@dataclass(frozen=True)
class Kube:
    """kubectl for one cluster and one namespace."""

    kubeconfig: str
    namespace: str = "default"
    program: str = "kubectl"

    def within(self, namespace: str) -> Kube:
        """The same cluster, another namespace."""
        return replace(self, namespace=namespace)

    def environment(self) -> dict[str, str]:
        """The environment in which other programs (helm) find the same cluster."""
        return {**os.environ, "KUBECONFIG": self.kubeconfig}

    def run(self, *words: str, stdin: str | None = None, timeout: float = REQUEST_TIMEOUT) -> str:
        """Run kubectl and return its stdout.

        Raises:
            KubectlError: it exited with another code than 0.
            subprocess.TimeoutExpired: it gave no answer in time.
        """
        command = [self.program, "--namespace", self.namespace, *words]
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
        )
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """kubectl apply of objects; unknown fields are refused."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.run("apply", "--validate=strict", "-f", "-", stdin=document)

    def refused(self, *objects: Mapping[str, Any]) -> str:
        """What kubectl apply says while it refuses the objects; an accepted apply is an assertion error."""
        try:
            accepted = self.apply(*objects)
        except KubectlError as refusal:
            return str(refusal)
        raise AssertionError(f"accepted, though it must be refused: {accepted}")

    def get(self, kind: str, name: str) -> Object:
        """One object."""
        found: Object = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def select(self, kind: str, selector: str = "", fields: str = "") -> list[Object]:
        """Objects of a kind."""
        words = ["get", kind, "-o", "json", f"--selector={selector}", f"--field-selector={fields}"]
        items: list[Object] = json.loads(self.run(*words))["items"]
        return items

    def raw(self, path: str) -> str:
        """What the API server answers on a path."""
        return self.run("get", "--raw", path)

    def delete(self, kind: str, name: str, timeout: float = 120.0) -> None:
        """Delete an object and wait until it is gone; one that is not there is gone."""
        words = ["delete", kind, name, "--ignore-not-found", f"--timeout={timeout:.0f}s"]
        self.run(*words, timeout=timeout + REQUEST_TIMEOUT)

    def exec(self, pod: str, *command: str, container: str = "") -> str:
        """Run a program in a pod and return its stdout."""
        chosen = ["-c", container] if container else []
        return self.run("exec", pod, *chosen, "--", *command)

    def wait(self, what: str, condition: str, timeout: float = 120.0) -> None:
        """kubectl wait --for=CONDITION, the way a pipeline does it."""
        seconds = f"--timeout={timeout:.0f}s"
        self.run("wait", what, f"--for={condition}", seconds, timeout=timeout + REQUEST_TIMEOUT)

    def create_namespace(self, labels: Mapping[str, str] | None = None) -> None:
        """Create our namespace if it is not there."""
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": dict(labels or {})},
            }
        )

    @contextmanager
    def streaming(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A kubectl that prints until it is ended, on leaving at the latest."""
        command = [self.program, "--namespace", self.namespace, *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment()
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def watch(self, kind: str, selector: str = "", fields: str = "") -> Watch:
        """A watch of objects, which survives an API server that goes away."""
        words = [kind, f"--selector={selector}", f"--field-selector={fields}"]
        return Watch(self, tuple(words))

    def until(self, kind: str, name: str, holds: Callable[[Object], bool], timeout: float = 120.0) -> Object:
        """Wait until a predicate holds for an object, and return the object as it was then.

        Raises:
            DeadlineError: it did not within `timeout` seconds.
        """
        watch = self.watch(kind, fields=f"metadata.name={name}")
        return watch.until(lambda seen: name in seen and holds(seen[name]), timeout)[name]

    def until_all(
        self, kind: str, selector: str, holds: Callable[[Sequence[Object]], bool], timeout: float = 120.0
    ) -> list[Object]:
        """Wait until a predicate holds for all objects of a selector together (there must be one), and return them."""
        watch = self.watch(kind, selector=selector)
        return list(watch.until(lambda seen: bool(seen) and holds(list(seen.values())), timeout).values())


@dataclass(frozen=True)
class Watch:
    """`kubectl get --watch` as a stream of states, each the objects by name after one change."""

    kube: Kube
    words: tuple[str, ...]

    def until(self, holds: Callable[[Objects], bool], timeout: float) -> Objects:
        """The first state for which the predicate holds.

        Raises:
            DeadlineError: there was none within `timeout` seconds.
        """
        last: Objects = {}
        for last in self.states(time.monotonic() + timeout):
            if holds(last):
                return last
        raise DeadlineError(f"not within {timeout:.0f} s: {self.words}; last seen:\n{summary(last)}")

    def states(self, deadline: float) -> Iterator[Objects]:
        """States until the deadline (of time.monotonic); the watch is begun again when it ends."""
        while (left := deadline - time.monotonic()) > 0:
            seen: dict[str, Object] = {}
            for event in self.events(left):
                apply_event(seen, event)
                yield seen
            # The API server may be away: this pause is politeness, the deadline bounds it.
            time.sleep(min(RECONNECT_SECONDS, max(0.0, deadline - time.monotonic())))

    def events(self, seconds: float) -> Iterator[Object]:
        """Watch events of one connection, for at most so long."""
        words = ("get", *self.words, "--watch", "--output-watch-events", "-o", "json")
        with self.kube.streaming(*words) as process:
            alarm = threading.Timer(seconds, process.kill)
            alarm.start()
            try:
                yield from complete_events(process.stdout or ())
            finally:
                alarm.cancel()


def apply_event(seen: dict[str, Object], event: Object) -> None:
    """Bring a state up to date with a watch event."""
    found = event["object"]
    if event["type"] == "DELETED":
        seen.pop(found["metadata"]["name"], None)
    elif event["type"] in ("ADDED", "MODIFIED"):
        seen[found["metadata"]["name"]] = found


def complete_events(lines: Iterable[str]) -> Iterator[Object]:
    """Watch events, one a line; one that was cut off with its connection comes again with the next."""
    for line in lines:
        if line.endswith("\n"):
            yield json.loads(line)


def summary(objects: Objects) -> str:
    """What a person wants to see of objects that did not become what was wanted."""
    return "\n".join(f"{name}: {brief(found.get('status', {}))}" for name, found in objects.items()) or "(nothing)"


def brief(status: Object) -> str:
    """A status without its bulk: conditions a line each, other fields in short."""
    conditions = [
        f"\n  {entry['type']}={entry['status']} {entry.get('reason', '')}: {entry.get('message', '')}"
        for entry in status.get("conditions", [])
    ]
    rest = {key: value for key, value in status.items() if key not in ("conditions", "history")}
    return json.dumps(rest)[:BRIEF] + "".join(conditions)


def condition(found: Object, kind: str) -> Object:
    """A condition of an object; empty if it has none of that type. A new definition's conditions are null at first."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def is_true(found: Object, kind: str) -> bool:
    """Whether a condition is True and speaks of the present generation."""
    entry = condition(found, kind)
    current = entry.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
    return entry.get("status") == "True" and current
