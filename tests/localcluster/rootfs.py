"""The file systems that images start from: a small Debian with Python, and a busybox that only waits."""

from __future__ import annotations

import shutil
from pathlib import Path

from localcluster import cachedir, layout
from localcluster.errors import ClusterError
from localcluster.progress import step
from localcluster.shell import run

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
# Left out of the image: what apt and people read, but programs do not.
UNNEEDED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    *(f"usr/share/{it}" for it in ("doc", "man", "locale")),
)
RECIPE = 2  # raise it when a change below should lead to a new base image
BUSYBOX = Path("/bin/busybox")


def debian() -> Path:
    """A tar file of a minimal Debian with Python, made once per machine."""
    recipe = cachedir.digest([SUITE, *PACKAGES, *UNNEEDED, str(RECIPE)])
    return cachedir.ensure(layout.cache() / "rootfs" / f"{SUITE}-{recipe}", bootstrap) / "rootfs.tar"


def bootstrap(folder: Path) -> None:
    """Install Debian into `folder`, from where this machine gets its own packages."""
    root = folder / "root"
    include = f"--include={','.join(PACKAGES)}"
    with step(f"making a Debian {SUITE} root file system (once per machine)"):
        run("debootstrap", "--variant=minbase", include, SUITE, root, mirror())
        slim(root)
        run("tar", "--numeric-owner", "--create", "--file", folder / "rootfs.tar", "--directory", root, ".")
        shutil.rmtree(root)


def slim(root: Path) -> None:
    """Empty what programs do not read, and name Python as the public Python images do."""
    for name in UNNEEDED:
        for entry in (root / name).iterdir() if (root / name).exists() else ():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for name in ("etc/resolv.conf", "etc/hostname"):
        (root / name).unlink(missing_ok=True)


def mirror() -> str:
    """Where apt on this machine is set up to find Debian; nothing is assumed when it says nothing."""
    words = ("--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)", "Created-By: Packages")
    found = choose_mirror(run("apt-get", "indextargets", *words))
    if found is None:
        run("apt-get", "update")
        found = choose_mirror(run("apt-get", "indextargets", *words))
    if found is None:
        raise ClusterError("apt has no source of Debian packages: set one up in /etc/apt/sources.list.d")
    return found


def choose_mirror(targets: str) -> str | None:
    """The address in `address codename origin` lines that serves our suite, or else any suite of Debian."""
    rows = [row for line in targets.splitlines() if len(row := line.split()) == 3 and row[2] == "Debian"]
    same = [row for row in rows if row[1] == SUITE]
    return (same or rows)[0][0] if rows else None


def busybox(folder: Path) -> None:
    """Fill `folder` with a root file system whose only program is a static busybox."""
    (folder / "bin").mkdir()
    shutil.copy2(BUSYBOX, folder / "bin/busybox")
