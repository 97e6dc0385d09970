"""Why pods do not get on, read from what Kubernetes says of them: one word, and a sentence that says what to change.

Pure: raw objects in, a Problem out. Where several things are wrong, the most telling one is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sluice.failures import Failure, Reason, parse_termination
from sluice_operator.planning.observed import Problem

Json = Mapping[str, Any]

MESSAGE_LIMIT = 512
CRASHES = 3
"""Restarts after which a crash is taken to be the version's own fault."""
STUCK_SECONDS = 5.0
"""Creating a container takes less, if nothing is wrong; longer, and the pod's events are asked why."""

_PULL = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CREATING = {"ContainerCreating", "PodInitializing"}
_RANK = ("QuotaExceeded", "PodRefused", "Unschedulable", "MountFailed", "ConfigError", "ImagePull", "Crashed")
"""Among problems that may pass, earlier ones tell less about the version and more about the place; later ones win."""


def workload_problem(
    pods: Iterable[Json], deployment: Json | None, mount_failures: Mapping[str, str]
) -> Problem | None:
    """The problem of a Deployment's pods; `mount_failures` are messages by pod uid."""
    found = [problem for pod in pods if (problem := pod_problem(pod, mount_failures))]
    if refused := _replica_failure(deployment):
        found.append(refused)
    return most_telling(found)


def most_telling(problems: Sequence[Problem]) -> Problem | None:
    """Permanent ones first, then those that say most about the version itself."""
    return max(problems, key=lambda p: (p.permanent, _rank(p.reason), p.message), default=None)


def _rank(reason: str) -> int:
    return _RANK.index(reason) if reason in _RANK else len(_RANK)


def pod_problem(pod: Json, mount_failures: Mapping[str, str] | None = None) -> Problem | None:
    """The problem of one pod, None where it is ready, on its way, or going away."""
    if leaving(pod) or ready(pod):
        return None
    status = pod.get("status") or {}
    found = [p for container in containers(pod) if (p := _container_problem(container))]
    if message := (mount_failures or {}).get(pod["metadata"]["uid"]):
        found.append(_problem("MountFailed", message))
    if (scheduled := condition(status, "PodScheduled")) and scheduled.get("reason") == "Unschedulable":
        found.append(_problem("Unschedulable", scheduled.get("message", "")))
    return most_telling(found)


def refusal(message: str) -> Problem:
    """A pod that could not even be created, from the message of the controller that tried."""
    reason = "QuotaExceeded" if "exceeded quota" in message else "PodRefused"
    return _problem(reason, message)


def ready(pod: Json) -> bool:
    """Whether the pod is Ready."""
    found = condition(pod.get("status") or {}, "Ready")
    return found is not None and found["status"] == "True"


def leaving(pod: Json) -> bool:
    """Whether the pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def stuck(pod: Json, now: datetime) -> bool:
    """Whether the kubelet has been creating the pod's containers for so long that it is worth asking why."""
    if leaving(pod) or not any(_waiting(container) in _CREATING for container in containers(pod)):
        return False
    # An init container that runs or failed explains PodInitializing by itself.
    if any("running" in (c.get("state") or {}) or c.get("lastState") for c in containers(pod)):
        return False
    scheduled = condition(pod.get("status") or {}, "PodScheduled")
    since = scheduled and scheduled.get("lastTransitionTime")
    return bool(since) and (now - datetime.fromisoformat(str(since))).total_seconds() > STUCK_SECONDS


def condition(status: Json, kind: str) -> Json | None:
    """The condition of a type."""
    return next((c for c in status.get("conditions") or [] if c["type"] == kind), None)


def containers(pod: Json) -> list[Json]:
    """Statuses of all containers, in the order they start."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _waiting(container: Json) -> str:
    return str(((container.get("state") or {}).get("waiting") or {}).get("reason") or "")


def _container_problem(container: Json) -> Problem | None:
    name = container["name"]
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    if reason == "InvalidImageName":
        return _problem(reason, f"container {name}: {message}", permanent=True)
    if reason in _PULL:
        return _problem("ImagePull", f"container {name} cannot pull {container.get('image', '')}: {message}")
    if reason in _CONFIG:
        return _problem("ConfigError", f"container {name}: {message}")
    return _crash(container, in_backoff=reason == "CrashLoopBackOff")


def _crash(container: Json, in_backoff: bool) -> Problem | None:
    """What the container's last word says, or else how it ended."""
    ended = _termination(container)
    if ended is None or ended.get("exitCode") == 0:
        return None
    hopeless = in_backoff and container.get("restartCount", 0) >= CRASHES
    word = parse_termination(ended.get("message") or "")
    if isinstance(word, Failure) and not (hopeless and word.reason is Reason.INTERNAL):
        return _problem(word.reason, word.message, permanent=word.reason.permanent)
    text = _obituary(container, ended, word)
    return _problem("CrashLoop", text, permanent=True) if hopeless else _problem("Crashed", text)


def _termination(container: Json) -> Json | None:
    """How the container last ended; None while it is ready, because then it is over it."""
    if container.get("ready"):
        return None
    state, last = container.get("state") or {}, container.get("lastState") or {}
    found: Json | None = state.get("terminated") or last.get("terminated")
    return found


def _obituary(container: Json, ended: Json, word: Any) -> str:
    out_of_memory = ended.get("reason") == "OOMKilled"
    how = "was killed for using more memory than its limit" if out_of_memory else "exited"
    times = container.get("restartCount", 0)
    last_words = word.message if isinstance(word, Failure) else (ended.get("message") or "").strip()
    said = f": {last_words}" if last_words else ""
    return f"container {container['name']} {how} (code {ended.get('exitCode')}, {times} restarts){said}"


def _replica_failure(deployment: Json | None) -> Problem | None:
    found = condition((deployment or {}).get("status") or {}, "ReplicaFailure")
    if found is None or found["status"] != "True":
        return None
    return refusal(found.get("message", ""))


def _problem(reason: str, message: str, permanent: bool = False) -> Problem:
    text = " ".join(message.split())
    short = text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 3] + "..."
    return Problem(str(reason), short, permanent)
