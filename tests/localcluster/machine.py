"""Who uses this machine, and how it looked before us: what `up` must not overrun and `down` must restore."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from localcluster import layout, network, processes
from localcluster.cachedir import write_atomically
from localcluster.errors import ClusterError


def owner() -> Path | None:
    """The clone whose cluster holds this machine, running or not."""
    try:
        return Path(json.loads(layout.OWNER.read_text())["repository"])
    except (OSError, ValueError, KeyError):
        return None


def busy() -> bool:
    """Whether any process of a cluster lives."""
    return bool(processes.all_recorded())


def refuse_foreign(any_clone: bool = False) -> None:
    """Raise if another clone's cluster is running; a clone that is gone or a dead cluster claims nothing."""
    other = owner()
    if any_clone or other in (None, layout.REPO) or not busy() or not (other and other.exists()):
        return
    raise ClusterError(
        f"a cluster started from {other} is running, and a machine holds one at a time: stop it with "
        f"`python -m localcluster down` there, or with `python -m localcluster down --any` here"
    )


def claim() -> None:
    """Note that the machine is ours, and how it looked before; an earlier note of the same cluster stays."""
    if layout.OWNER.exists():
        return
    layout.DATA.mkdir(parents=True, exist_ok=True)
    write_atomically(layout.SNAPSHOT, json.dumps(snapshot(), indent=2))
    write_atomically(layout.OWNER, json.dumps({"repository": str(layout.REPO)}))


def snapshot() -> dict[str, Any]:
    return {
        "switches": network.switches(),
        "chains": network.kubernetes_chains(),
        "absent": [str(path) for path in layout.FIXED_PATHS if not path.exists()],
    }


def restore() -> None:
    """Put network and fixed paths back to what the snapshot says, then forget the cluster."""
    try:
        before = json.loads(layout.SNAPSHOT.read_text())
    except (OSError, ValueError):
        before = {}
    network.down(before.get("switches", {}), before.get("chains", []))
    forget_pods()
    for path in before.get("absent", []):
        shutil.rmtree(path, ignore_errors=True)
    for folder in (layout.RUN, layout.BUILDAH_RUN, layout.DATA):
        shutil.rmtree(folder, ignore_errors=True)


def forget_pods() -> None:
    """Remove the notes and links that CNI and kubelet keep of our pods in folders they share with others."""
    for note in layout.CNI_RESULTS.glob("sluice-*-eth0"):
        pod = note.name.removeprefix("sluice-").removesuffix("-eth0")
        note.with_name(f"cni-loopback-{pod}-lo").unlink(missing_ok=True)
        note.unlink()
    for link in layout.FIXED_POD_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.POD_LOGS):
            link.unlink()
