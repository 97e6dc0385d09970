"""Our bridge, kernel switches and packet rules: made on `up`, and taken away without touching others'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.shell import run, succeeds

SYSCTL = Path("/proc/sys")
# Switches that the cluster needs, with the value it needs.
NEEDED = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
# Switches that kubelet and kube-proxy change by themselves.
CHANGED_BY_OTHERS = (
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
FIREWALLS = ("iptables", "ip6tables")


def up() -> None:
    """Make the bridge with the gateway's address, which components bind to before any pod exists."""
    for name, value in NEEDED.items():
        if (SYSCTL / name).read_text().strip() != value:
            (SYSCTL / name).write_text(value)
    if not (Path("/sys/class/net") / layout.BRIDGE).exists():
        run("ip", "link", "add", layout.BRIDGE, "type", "bridge")
    run("ip", "address", "replace", f"{layout.GATEWAY}/{layout.GATEWAY_PREFIX}", "dev", layout.BRIDGE)
    run("ip", "link", "set", layout.BRIDGE, "up")


def down(switches: dict[str, str], foreign_chains: Iterable[str]) -> None:
    """Remove bridge, pod interfaces and rules; put the switches back to the values they had before `up`."""
    for port in bridge_ports():
        succeeds("ip", "link", "delete", port)
    if (Path("/sys/class/net") / layout.BRIDGE).exists():
        run("ip", "link", "delete", layout.BRIDGE)
    remove_rules(set(foreign_chains))
    for name, value in switches.items():
        if (SYSCTL / name).read_text().strip() != value:
            (SYSCTL / name).write_text(value)


def bridge_ports() -> list[str]:
    ports = Path("/sys/class/net") / layout.BRIDGE / "brif"
    return [port.name for port in ports.iterdir()] if ports.exists() else []


def switches() -> dict[str, str]:
    """The present values of every switch that the cluster may change."""
    found = ((name, SYSCTL / name) for name in (*NEEDED, *CHANGED_BY_OTHERS))
    return {name: path.read_text().strip() for name, path in found if path.exists()}


def kubernetes_chains() -> list[str]:
    """Chains with Kubernetes' names that exist now, as `program/table/chain`."""
    return [
        f"{program}/{table}/{chain}"
        for program in FIREWALLS
        for table, chain in chains(saved(program))
        if is_kubernetes(chain)
    ]


def remove_rules(foreign: set[str]) -> None:
    """Remove Kubernetes' chains and the rules that jump to them, except those that were there before us."""
    for program in FIREWALLS:
        text = saved(program)
        keep = {(table, chain) for table, chain in chains(text) if f"{program}/{table}/{chain}" in foreign}
        script = removal_script(text, keep)
        if script:
            run(f"{program}-restore", "--noflush", "--wait", "10", stdin=script)


def saved(program: str) -> str:
    """What `iptables-save` prints; empty where the kernel has no such tables (IPv6 may be off)."""
    try:
        return run(f"{program}-save", timeout=30.0)
    except ClusterError:
        return ""


def chains(text: str) -> list[tuple[str, str]]:
    """(table, chain) pairs in the output of iptables-save."""
    found, table = [], ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            found.append((table, line[1:].split()[0]))
    return found


def is_kubernetes(chain: str) -> bool:
    return chain.startswith(layout.CHAIN_PREFIXES)


def removal_script(text: str, keep: set[tuple[str, str]]) -> str:
    """Input for `iptables-restore --noflush` that removes our chains from the saved rules `text` alone.

    Declaring a chain empties it; then the jumps to it go, then the chain itself.
    """
    doomed = [pair for pair in chains(text) if is_kubernetes(pair[1]) and pair not in keep]
    lines: list[str] = []
    for table in dict.fromkeys(table for table, _ in doomed):
        names = [chain for owner, chain in doomed if owner == table]
        lines += [f"*{table}", *(f":{name} - [0:0]" for name in names)]
        lines += [f"-D {rule}" for rule in jumps(text, table, set(names))]
        lines += [*(f"-X {name}" for name in names), "COMMIT"]
    return "\n".join(lines) + "\n" if lines else ""


def jumps(text: str, wanted: str, targets: set[str]) -> list[str]:
    """Rules of surviving chains of table `wanted` that jump to one of `targets`, without the leading `-A`."""
    found, table = [], ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        rule = re.match(r"-A (\S+) .*-[jg] (\S+)", line)
        if rule and table == wanted and rule[2] in targets and rule[1] not in targets:
            found.append(line[3:])
    return found
