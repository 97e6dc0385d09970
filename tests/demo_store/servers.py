"""What a company has beside its cluster, as processes on this machine that pods reach at the bridge's address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo_store import files
from demo_store.commands import Workplace
from demo_store.warehouse import Warehouse, open_warehouse
from integrations.registries.servers import Server, mlflow_server
from localcluster import layout
from support.feast import Feast, feast_server

FEAST = ("--workers", "2", "--max-requests", "0")
"""By default its only worker is replaced after 1,000 requests, and for the seconds that takes nobody is answered."""


@dataclass(frozen=True)
class Servers:
    """Warehouse, feature store and registry."""

    warehouse: Warehouse
    feast: Feast
    mlflow: Server

    def addresses(self) -> Mapping[str, str]:
        """What the example's files say -> where it really is."""
        return {files.FEAST: self.feast.url, files.MLFLOW: self.mlflow.url}


@contextmanager
def open_servers(scratch: Path) -> Iterator[Servers]:
    """Start all of them; the feature store knows the example's definitions, and no values."""
    with ExitStack() as stack:
        warehouse = stack.enter_context(open_warehouse(layout.GATEWAY))
        feast = stack.enter_context(feast_server(repository(scratch), layout.GATEWAY, FEAST))
        mlflow = stack.enter_context(mlflow_server(scratch / "mlflow", layout.GATEWAY))
        yield Servers(warehouse, feast, mlflow)


def repository(scratch: Path) -> Path:
    """What `feast apply` reads, from the example's own features.yaml."""
    Workplace(scratch, {}).sluice(
        "features", "render", str(files.EXAMPLE / "features.yaml"), "--output", "feast"
    ).checked()
    return scratch / "feast"
