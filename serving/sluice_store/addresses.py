"""Which addresses a store may send us to: never to a more private place than where it began.

The step that downloads runs inside the cluster, and what it is told by a redirect, a token service or a registry's
answer is another's word. Without this check a store on the internet could have the cluster's own services, a neighbour
on loopback or the cloud's metadata asked in our name. A name is resolved once, here, and the connection goes to the
very address that was checked, so that a name server cannot say one thing to the check and another to the connection.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sluice.failures import PackageError, Reason

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, in the order in which to try them. Raises OSError."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",  # Azure's wire server
            "100.100.100.200",  # Alibaba Cloud
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS over IPv6; 169.254.169.254 and its like are link-local
            "fd00:ec2::23",  # AWS: EKS Pod Identity
            "fd20:ce::254",  # Google Cloud over IPv6
        ),
    )
)
"""Where clouds answer their machines, outside of the link-local networks: no store, whatever Python's tables say."""
_NEVER_PUBLIC = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("64:ff9b:1::/48"))
"""Special networks (RFC 6890, RFC 8215) that Python's tables know in its later releases alone."""
_PRIVATE_NAMES = ("localhost", "local", "localdomain", "internal", "svc", "lan", "arpa", "test", "invalid")


def resolve_host(host: str, port: int) -> tuple[str, ...]:
    """Ask the system: its hosts file, its name servers and its search list.

    Raises:
        OSError: the name is not known, or nobody answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """URL of the proxy that the environment names for a host (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(f"{host}:{port}") or urllib.request.proxy_bypass(host):
        return None
    if _in_networks(host, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _in_networks(host: str, excluded: str) -> bool:
    """Networks in NO_PROXY (10.0.0.0/8), which Python's own reading of it does not know."""
    for part in excluded.split(","):
        with contextlib.suppress(ValueError):  # names have no address here, and mistakes no network
            if "/" in part and ipaddress.ip_address(host) in ipaddress.ip_network(part.strip(), strict=False):
                return True
    return False


@dataclass(slots=True)
class Guard:
    """Where it began, and so where it may lead. Hosts are compared without regard to case or port."""

    scheme: str
    host: str
    port: int
    resolve: Resolve = resolve_host
    _began: tuple[str, ...] | None = field(default=None, init=False)

    def addresses(self, scheme: str, host: str, port: int, proxied: bool = False) -> tuple[str, ...]:
        """The addresses of a host that may be connected to.

        Through a proxy it is the proxy that looks the name up. What is known here is checked all the same; a name
        that only the proxy knows must look like one of the public internet's, and has no addresses.

        Raises:
            PackageError: AddressRefused.
            OSError: the name cannot be resolved.
        """
        if scheme not in ("http", "https"):
            raise _refused(host, f"{scheme}: is not a scheme to follow")
        if self.scheme == "https" and scheme != "https":
            raise _refused(host, "it would leave https for http")
        at_home = self._same(host)
        try:
            found = tuple(self.resolve(host, port))
        except OSError:
            if proxied and (at_home or not _private_name(host)):
                return ()
            raise
        for address in found:
            self._check(host, address, at_home)
        if at_home and self._began is None:
            self._began = found
        return found

    def _check(self, host: str, address: str, at_home: bool) -> None:
        if is_metadata(address):
            raise _refused(host, f"{address} is where clouds keep their metadata, and no packages")
        if is_public(address):
            return
        if at_home and (self._began is None or not all(map(is_public, self._began))):
            return
        if not at_home and address in self._home():
            return  # another name of the machine that was asked for
        raise _refused(host, f"{address} is more private than {self.host}, where it began")

    def _home(self) -> tuple[str, ...]:
        if self._began is None:
            self._began = tuple(self.resolve(self.host, self.port))
        return self._began

    def _same(self, host: str) -> bool:
        return host.lower().rstrip(".") == self.host.lower().rstrip(".")


def is_public(address: str) -> bool:
    """True for an address that anyone on the internet could reach."""
    ip = _innermost(address)
    special = ip.is_multicast or ip in METADATA or any(ip in network for network in _NEVER_PUBLIC)
    return ip.is_global and not special


def is_metadata(address: str) -> bool:
    """True for 169.254.0.0/16, fe80::/10 and the clouds' own of other networks, however they are written."""
    ip = _innermost(address)
    return ip.is_link_local or ip in METADATA


def _innermost(address: str) -> Address:
    """The IPv4 address inside an IPv6 one that carries it (mapped, 6to4, Teredo, NAT64), else the address itself."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    inner = ip.ipv4_mapped or ip.sixtofour
    return inner or (ip.teredo[1] if ip.teredo else ip)


def _private_name(host: str) -> bool:
    labels = host.lower().rstrip(".").split(".")
    return len(labels) == 1 or labels[-1] in _PRIVATE_NAMES


def _refused(host: str, why: str) -> PackageError:
    return PackageError(
        Reason.ADDRESS_REFUSED, f"the store led to {host}: {why}; let it serve the package from where spec.model.uri is"
    )
