"""The cluster's images, named by the hash of what they are made from: a name says all there is to know.

An image is built when no image of its name exists, and imported when containerd does not have it. Both stores
lie in the cache: what did not change costs nothing, in a fresh clone too.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from localcluster import buildah, cachedir, layout, rootfs, router, transfer
from localcluster.components import COMPONENTS, ctr
from localcluster.errors import ClusterError
from localcluster.progress import step
from localcluster.shell import run

PREFIX = "sluice.local"
PAUSE_COMMAND = ["/bin/busybox", "sleep", "2147483647"]
DOCKERFILES = {"runtime": layout.REPO / "serving/Dockerfile", "operator": layout.REPO / "operator/Dockerfile"}
NAMES = ("base", "router", *DOCKERFILES)
ON_DEMAND = {"tools": layout.REPO / "serving/tools.Dockerfile"}
"""Built where they are named: few tests need them, and they are large."""


@dataclass(frozen=True)
class Image:
    """A full image name, and how to build it into buildah's storage."""

    name: str
    build: Callable[[], None]


def ensure_images(wanted: Iterable[str] = ()) -> dict[str, str]:
    """Build and import what is missing of `wanted` (default: all that have sources); return {kind: name}."""
    if not COMPONENTS["containerd"].well():
        raise ClusterError("images go into the running cluster: run `python -m localcluster up` first")
    kinds = list(wanted) or [kind for kind in NAMES if kind not in DOCKERFILES or DOCKERFILES[kind].exists()]
    names = bring_in({kind: recipe(kind) for kind in kinds})
    publish(names)
    return names


def bring_in(wanted: Mapping[str, Image]) -> dict[str, str]:
    """Build and import what is missing; return the names by the same keys."""
    with images_lock():
        present = imported()
        for image in wanted.values():
            if image.name not in present:
                build_and_import(image)
    return {key: image.name for key, image in wanted.items()}


def publish(names: dict[str, str]) -> None:
    """Write the names where charts and tests look for them."""
    known = json.loads(layout.IMAGES_JSON.read_text()) if layout.IMAGES_JSON.exists() else {}
    cachedir.write_atomically(layout.IMAGES_JSON, json.dumps({**known, **names}, indent=2) + "\n")


def recipe(kind: str) -> Image:
    if kind == "base":
        return base()
    if kind == "router":
        return router_image()
    if kind in DOCKERFILES:
        return from_source(kind, DOCKERFILES[kind])
    if kind in ON_DEMAND:
        return from_source(kind, ON_DEMAND[kind])
    raise ClusterError(f"unknown image {kind!r}; known are {', '.join((*NAMES, *ON_DEMAND))}")


def base() -> Image:
    tar = rootfs.debian()
    settings = ("--cmd", "python3", "--env", "LANG=C.UTF-8", "--env", f"PATH={search_path()}")
    tag = cachedir.digest([tar.parent.name, *settings])
    name = f"{PREFIX}/base:{tag}"
    return Image(name, lambda: buildah.from_rootfs(name, tar, *settings))


def search_path() -> str:
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def router_image() -> Image:
    start, tag = base(), cachedir.digest([base().name, router.digest()])
    name = f"{PREFIX}/envoy:{router.VERSION}-{tag}"

    def build() -> None:
        ensure_built(start)
        folder = router.context()
        buildah.from_dockerfile(name, folder / "Dockerfile", folder, {"BASE_IMAGE": start.name})

    return Image(name, build)


def from_source(kind: str, dockerfile: Path, repository: Path = layout.REPO) -> Image:
    """The image of a Dockerfile in a checkout of this repository, with the checkout as its context."""
    if not dockerfile.exists():
        raise ClusterError(f"{dockerfile} does not exist: the {kind} image cannot be built")
    start = base()
    sources = cachedir.digest_files(repository, copied_files(dockerfile.read_text(), repository))
    name = f"{PREFIX}/{kind}:{cachedir.digest([start.name, dockerfile.read_bytes(), sources])}"

    def build() -> None:
        ensure_built(start)
        buildah.from_dockerfile(name, dockerfile, repository, {"BASE_IMAGE": start.name})

    return Image(name, build)


def copied_files(dockerfile: str, context: Path) -> list[Path]:
    """Every file that COPY and ADD lines take from the context, without compiled Python."""
    sources = [source for line in logical_lines(dockerfile) for source in copy_sources(line)]
    found = (path for source in sources for path in matches(context, source))
    return sorted({path for path in found if "__pycache__" not in path.parts})


def logical_lines(dockerfile: str) -> list[str]:
    """Instructions, with continued lines joined and comments dropped."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def copy_sources(line: str) -> list[str]:
    """The sources of one COPY or ADD instruction; none if they come from another stage."""
    instruction, _, rest = line.strip().partition(" ")
    if instruction.upper() not in ("COPY", "ADD") or "--from=" in rest:
        return []
    rest = rest.strip()
    words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    return [word for word in words if not word.startswith("--")][:-1]


def matches(context: Path, source: str) -> list[Path]:
    pattern = source.strip("/").removeprefix("./")
    roots = list(context.glob(pattern)) if pattern not in ("", ".") else [context]
    if not roots:
        raise ClusterError(f"a Dockerfile copies {source!r}, which does not exist in {context}")
    found = (path for root in roots for path in (root, *root.rglob("*")))
    return [path for path in found if path.is_file()]


def ensure_built(image: Image) -> None:
    if not buildah.has(image.name):
        image.build()


def build_and_import(image: Image) -> None:
    with buildah.session():
        ensure_built(image)
        with step(f"importing {image.name}"):
            transfer.to_containerd(image.name)


def imported() -> set[str]:
    """Full names of the images that containerd has."""
    return set(run(*ctr("images", "list", "--quiet"), timeout=30.0).split())


def pause() -> Image:
    """The image that holds a pod's network: a static busybox that sleeps."""
    name = f"{PREFIX}/pause:{cachedir.digest([rootfs.BUSYBOX.read_bytes(), *PAUSE_COMMAND])}"

    def build() -> None:
        with tempfile.TemporaryDirectory() as folder:
            rootfs.busybox(Path(folder))
            buildah.from_rootfs(name, Path(folder), "--entrypoint", json.dumps(PAUSE_COMMAND))

    return Image(name, build)


def ensure_pause() -> None:
    """Import the pause image, without which no pod starts."""
    with images_lock():
        if pause().name not in imported():
            build_and_import(pause())


def images_lock() -> AbstractContextManager[None]:
    return cachedir.lock(layout.cache() / "locks" / "images.lock", "another build of images")
