"""Applications in the cluster, each with an account of its own and the kubelet's token for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from demo_store.files import EXAMPLE
from support.kube import Kube, Object
from support.pods import config_map, python_pod

WAIT = ["-c", "import signal; signal.pause()"]
TOKEN = "/var/run/secrets/sluice.dev"
AUDIENCE = "sluice.dev"
SCRIPTS = "app"


@dataclass(frozen=True)
class Caller:
    """A pod that runs as one account; what it asks, it asks with that account's token or without any."""

    kube: Kube
    account: str

    def ask(self, stores: Sequence[int]) -> Any:
        """What the example's app is answered about these stores in one request."""
        return json.loads(self.kube.exec(self.account, "python3", "/files/app.py", *map(str, stores)))

    def ask_each(self, stores: Sequence[int]) -> list[Any]:
        """The same, a request for each store, one after the other."""
        words = ("python3", "-c", _EACH, json.dumps(list(stores)))
        answers: list[Any] = json.loads(self.kube.exec(self.account, *words))
        return answers


_EACH = """
import json, sys
sys.path.insert(0, "/files")
from app import ask
print(json.dumps([ask([store]) for store in json.loads(sys.argv[1])]))
"""


def run_callers(kube: Kube, image: str, url: str, accounts: Iterable[str], nobody: str) -> dict[str, Caller]:
    """Start a pod for each account, and one called `nobody` that has no token, and wait for them."""
    named = [*accounts]
    scripts = config_map(SCRIPTS, {"app.py": (EXAMPLE / "app.py").read_text()})
    pods = [with_token(app_pod(account, image, url, WAIT), account) for account in named]
    kube.apply(scripts, *pods, app_pod(nobody, image, url, WAIT))
    for name in (*named, nobody):
        kube.wait(f"pod/{name}", "condition=Ready")
    return {name: Caller(kube, name) for name in (*named, nobody)}


def app_pod(name: str, image: str, url: str, words: list[str], scripts: str = SCRIPTS) -> Object:
    """A pod with the example's app below /files."""
    pod = python_pod(name, image, words)
    container = pod["spec"]["containers"][0]
    container["env"] += [{"name": "MODEL_URL", "value": url}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}]
    pod["spec"]["volumes"] = [{"name": "files", "configMap": {"name": scripts}}]
    container["volumeMounts"] = [{"name": "files", "mountPath": "/files", "readOnly": True}]
    return pod


def with_token(pod: Object, account: str) -> Object:
    """The pod with a token of the account that is made for models, and none for the API server."""
    source = {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 3600}}
    pod["spec"]["serviceAccountName"] = account
    pod["spec"]["volumes"].append({"name": "token", "projected": {"sources": [source]}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "token", "mountPath": TOKEN, "readOnly": True})
    return pod
