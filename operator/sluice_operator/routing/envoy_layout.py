"""Where the router's Envoy stands: ports, folder and addresses.

A test that runs a real Envoy on one machine gives other ports and addresses, and everything else it renders is what
runs in a pod.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sluice_operator.api import names
from sluice_operator.routing.base import Traffic

ENDPOINT_PORT = 8080
TLS_PORT = 8443
ADMIN_PORT = 9901
READ_ONLY_PORT = 9902
RUNTIME_PORT = 8080
RUNTIME_GRPC_PORT = 8081
CONFIG_DIR = "/etc/envoy/sluice"
TLS_DIR = "/etc/envoy/tls"

Address = tuple[str, int]


def headless_service(traffic: Traffic, revision: str) -> tuple[Address, ...]:
    """The revision's pods by name; the trailing dot spares a look-up for each search domain."""
    return ((_service(traffic, revision), RUNTIME_PORT),)


def headless_grpc_service(traffic: Traffic, revision: str) -> tuple[Address, ...]:
    """The same pods by the port on which they speak gRPC."""
    return ((_service(traffic, revision), RUNTIME_GRPC_PORT),)


def _service(traffic: Traffic, revision: str) -> str:
    return f"{names.model(traffic.name, revision)}.{traffic.namespace}.svc.{traffic.cluster_domain}."


@dataclass(frozen=True)
class Layout:
    """`members` names the addresses of a revision, `grpc_members` those that speak gRPC; `resolvers` answers for
    them, by default the pod's own DNS. Admin stays on loopback; the read-only port is for the operator.
    """

    endpoint_port: int = ENDPOINT_PORT
    tls_port: int = TLS_PORT
    admin_port: int = ADMIN_PORT
    read_only_port: int = READ_ONLY_PORT
    config_dir: str = CONFIG_DIR
    tls_dir: str = TLS_DIR
    members: Callable[[Traffic, str], tuple[Address, ...]] = headless_service
    grpc_members: Callable[[Traffic, str], tuple[Address, ...]] = headless_grpc_service
    resolvers: tuple[Address, ...] = ()


POD = Layout()
