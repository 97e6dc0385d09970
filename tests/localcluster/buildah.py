"""Builds images with buildah, from ordinary Dockerfiles and without any registry.

The host's way to the package registries (certificates, pip's settings) is lent to the build as mounts, which
leave nothing in the image.
"""

from __future__ import annotations

import configparser
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localcluster import configs, containers, layout
from localcluster.progress import step
from localcluster.shell import run

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# Settings that speak about the host's own folders or its terminal, not about where packages come from.
HOST_ONLY = {"cache-dir", "no-cache-dir", "target", "prefix", "user", "require-virtualenv", "log"}
IGNORED = "**/__pycache__\n**/*.pyc\n.git\n.cluster\n.venv\nbuild\n"


def buildah(*words: str | Path) -> str:
    """Run buildah on our own storage in the cache, never on the machine's."""
    driver = "overlay" if configs.snapshotter() == "overlayfs" else "vfs"
    places = ("--root", layout.buildah_root(), "--runroot", layout.BUILDAH_RUN, "--storage-driver", driver)
    return run("buildah", *places, *words)


@contextmanager
def session() -> Iterator[None]:
    """Use buildah, and leave no mount behind; working containers of a killed build are removed first."""
    buildah("rm", "--all")
    try:
        yield
    finally:
        containers.unmount_below(layout.buildah_root(), layout.BUILDAH_RUN)
        shutil.rmtree(layout.BUILDAH_RUN, ignore_errors=True)


def has(image: str) -> bool:
    """Whether our storage holds the image under this full name."""
    return image in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()


def from_rootfs(image: str, rootfs: Path, *settings: str) -> None:
    """Make an image of one layer from a folder or tar file; `settings` go to `buildah config`."""
    work = buildah("from", "scratch").strip()
    buildah("add", "--quiet", work, rootfs, "/")
    if settings:
        buildah("config", *settings, work)
    buildah("commit", "--quiet", "--rm", work, image)


def from_dockerfile(image: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
    """Build an ordinary Dockerfile; layers are kept, so that only what changed is built again."""
    with tempfile.TemporaryDirectory() as scratch, step(f"building {image}"):
        ignore = Path(scratch) / "ignore"
        ignore.write_text(IGNORED)
        words = ["bud", "--isolation=chroot", "--network=host", "--layers", "--pull-never", "--format=oci"]
        words += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        words += [f"--volume={source}:{target}" for source, target in loans(Path(scratch))]
        if not (context / ".dockerignore").exists():
            words += ["--ignorefile", str(ignore)]
        buildah(*words, "--tag", image, "--file", dockerfile, context)


def push(image: str, folder: Path) -> None:
    """Add the image to a folder in the OCI layout, uncompressed: compression would cost more than it saves here."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    buildah("push", "--quiet", "--disable-compression", image, f"oci:{folder}:newest")


def loans(scratch: Path) -> list[tuple[Path, str]]:
    """(host path, path:mode in the build) of everything the build may use but not keep."""
    settings = scratch / "pip.conf"
    settings.write_text(pip_conf(host_pip_settings(os.environ)))
    lent = [(settings, "/etc/pip.conf:ro")]
    bundle = Path(os.environ.get("SSL_CERT_FILE", CA_BUNDLE))
    if bundle.exists():
        lent.append((bundle.resolve(), f"{CA_BUNDLE}:ro"))
    return lent + [(folder, f"{folder}:ro") for folder in local_wheels(os.environ)]


def local_wheels(environment: Mapping[str, str]) -> list[Path]:
    """Folders of wheels that pip on the host is told to look in."""
    return [path for word in environment.get("PIP_FIND_LINKS", "").split() if (path := Path(word)).is_dir()]


def host_pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings on the host, from its files and from PIP_* variables, which win as they do in pip."""
    settings = pip_files()
    for name, value in environment.items():
        if name.startswith("PIP_"):
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def pip_files() -> dict[str, str]:
    """The [global] and [install] sections of pip's machine-wide and user files."""
    parser = configparser.RawConfigParser()
    parser.read(["/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"])
    sections = [section for section in ("global", "install") if parser.has_section(section)]
    return {name: value for section in sections for name, value in parser.items(section)}


def pip_conf(settings: Mapping[str, str]) -> str:
    """A pip.conf for the inside of a build: the host's registries, without its folders."""
    kept = {name: value for name, value in sorted(settings.items()) if name not in HOST_ONLY}
    # Layers are the cache; pip's own would only be carried about in the image.
    kept.update({"cert": str(CA_BUNDLE), "no-cache-dir": "true"})
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in kept.items())
