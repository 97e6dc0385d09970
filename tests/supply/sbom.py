"""A CycloneDX bill of materials of an image, read from the image's own files: no lock and no Dockerfile is believed.

The image is built if there is none of these sources, and mounted; the reading is done by OWASP's own tool, which has an
environment of its own. The GPU's image alone, which holds gigabytes of CUDA and is not built here, is described from
its lock, and its bill says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.environments import environment
from localcluster import buildah, images, layout, router
from localcluster.shell import run

TOOLS = ("cyclonedx-bom==7.5.0", "cyclonedx-python-lib[json-validation]==11.12.0", "python-debian==1.1.1")
LOCKS = {"runtime-gpu": layout.REPO / "serving" / "requirements-gpu.lock"}
"""Of images that are not built here, what their Python packages are installed from."""
KINDS = ("operator", "runtime", "router", "tools", *LOCKS)
FOLDER = layout.REPO / "build" / "sbom"
# A program that is no package of any kind, and so leaves no note of itself in the image.
PROGRAMS = {"router": [f"pkg:github/envoyproxy/envoy@v{router.VERSION}"]}


def write(kind: str) -> Path:
    """Write build/sbom/KIND.json and return its path.

    Raises:
        localcluster.errors.ClusterError: there is no such image, or it cannot be built or read.
        integrations.environments.EnvironmentBuildError: the tool cannot be installed.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / f"{kind}.json"
    python = environment("sbom", TOOLS)
    describe = (python, Path(__file__).with_name("describe.py"))
    if kind in LOCKS:
        run(*describe, LOCKS[kind], f"sluice/{kind}", target)
        return target
    image = images.recipe(kind)
    with images.images_lock(), buildah.session():
        images.ensure_built(image)
        with mounted(image.name) as root:
            run(*describe, root, image.name, target, *PROGRAMS.get(kind, ()))
    return target


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """The files of an image in buildah's storage."""
    work = buildah.buildah("from", "--pull-never", image).strip()
    try:
        yield Path(buildah.buildah("mount", work).strip())
    finally:
        buildah.buildah("rm", work)
