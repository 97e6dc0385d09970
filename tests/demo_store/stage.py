"""Where the story is told: a namespace, the servers beside the cluster, two desks, and the applications that ask."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from demo_store import files
from demo_store.callers import Caller, run_callers
from demo_store.commands import Workplace
from demo_store.dataset import Row, stores
from demo_store.servers import Servers, open_servers
from support.cluster import Cluster, own_namespace
from support.kube import Kube, Object

NAMESPACE, NAME = "shop", "store-revenue"
APP, MANAGER, STRANGER, NOBODY = "shop-app", "store-43", "stranger", "nobody"
URL = f"http://{NAME}.{NAMESPACE}.svc/v2/models/{NAME}/infer"


@dataclass
class Stage:
    """All that the chapters play with.

    `revenues`: stores as the data set has them; `stores`: as they are now; `facts`: what chapters have found out.
    """

    cluster: Cluster
    kube: Kube
    servers: Servers
    scratch: Path
    revenues: Mapping[int, Row]
    stores: dict[int, Row]
    recorded: datetime
    console: Console
    callers: Mapping[str, Caller]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def chapter(self, key: str, title: str) -> Iterator[dict[str, Any]]:
        """Announce a part of the story, and show what it found out."""
        self.console.rule(title)
        began, facts = time.time(), self.facts.setdefault(key, {})
        yield facts
        facts["began"], facts["ended"] = began, time.time()
        shown = {name: value for name, value in facts.items() if is_short(value)}
        self.console.print({**shown, "seconds": round(facts["ended"] - began, 1)})

    def desk(self, name: str) -> Workplace:
        """A folder with the example's files, as somebody has checked them out."""
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("model.py", "features.yaml"):
            (folder / file).write_text(self.text(file))
        return Workplace(folder, {"WAREHOUSE": self.servers.warehouse.server.dsn})

    def as_of(self, store: int) -> datetime:
        """When its books were closed, in no particular order: what a store earned goes with its features of then."""
        return self.recorded + timedelta(minutes=37 * store % (len(self.revenues) + 1))

    def text(self, name: str) -> str:
        """A file of the example, with the addresses of this machine."""
        return files.text(name, self.servers.addresses())

    def objects(self, name: str) -> list[Object]:
        """The objects of one of the example's files."""
        return [one for one in yaml.safe_load_all(self.text(name)) if one]

    def read_store(self) -> dict[int, dict[str, Any]]:
        """What the feature store knows of every store; only what is there."""
        answer = self.servers.feast.read({"store_id": list(self.stores)}, "store_revenue")
        names = answer["metadata"]["feature_names"]
        known: dict[int, dict[str, Any]] = {store: {} for store in self.stores}
        for name, result in zip(names, answer["results"], strict=True):
            for store, value, status in zip(known, result["values"], result["statuses"], strict=True):
                if name != "store_id" and status == "PRESENT":
                    known[store][name] = value
        return known


def is_short(value: object) -> bool:
    """Whether it fits on a terminal."""
    return isinstance(value, str | int | float | bool) and len(str(value)) < 300


@contextmanager
def open_stage(cluster: Cluster, console: Console, keep: bool) -> Iterator[Stage]:
    """Servers, accounts and applications; on leaving all of it is gone, unless the namespace is to be kept."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-demo-")))
        servers = stack.enter_context(open_servers(scratch))
        kube = stack.enter_context(own_namespace(cluster, NAMESPACE, keep))
        everything = stores()
        recorded = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        servers.warehouse.fill(everything, recorded)
        callers = introduce(kube, cluster.images["runtime"])
        yield Stage(cluster, kube, servers, scratch, everything, dict(everything), recorded, console, callers)


def introduce(kube: Kube, image: str) -> dict[str, Caller]:
    """The accounts of the example with their rights, one that has none, and a pod for each of them."""
    stranger = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": STRANGER}}
    kube.apply(*yaml.safe_load_all((files.EXAMPLE / "permissions.yaml").read_text()), stranger)
    return run_callers(kube, image, URL, (APP, MANAGER, STRANGER), NOBODY)
