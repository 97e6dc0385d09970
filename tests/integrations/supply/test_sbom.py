"""Each image has a bill of materials, which says what is in it: the locked versions, and what Debian brings."""

import json
import re
from typing import Any

import pytest

from localcluster import layout, router
from supply import sbom

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def bill(kind: str) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(sbom.write(kind).read_text())
    return written


def components(kind: str) -> dict[str, str]:
    return components_of(bill(kind))


def components_of(bom: dict[str, Any]) -> dict[str, str]:
    """Versions by package URL without the version."""
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["type"] == "container"
    return {one["purl"].partition("@")[0]: one["version"] for one in bom["components"]}


def locked(lock: str) -> dict[str, str]:
    pins = PINNED.findall((layout.REPO / lock).read_text())
    return {f"pkg:pypi/{name.lower()}": version for name, version in pins}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("kind", "lock"),
    [
        ("runtime", "serving/requirements.lock"),
        ("operator", "operator/requirements.lock"),
        ("tools", "serving/requirements-tools.lock"),
    ],
)
def test_an_image_holds_every_dependency_in_the_locked_version(kind: str, lock: str) -> None:
    found = components(kind)
    assert locked(lock).items() <= found.items()
    assert "pkg:deb/debian/libc6" in found


@pytest.mark.timeout(1200)
def test_the_runtimes_names_onnx_runtime_and_the_routers_names_envoy() -> None:
    version = locked("serving/requirements.lock")["pkg:pypi/onnxruntime"]
    assert components("runtime")["pkg:pypi/onnxruntime"] == version
    assert components("router")["pkg:github/envoyproxy/envoy"] == f"v{router.VERSION}"


@pytest.mark.timeout(1200)
def test_the_gpus_has_what_is_locked_and_says_that_it_is_made_from_the_lock() -> None:
    lock = "serving/requirements-gpu.lock"
    bom = bill("runtime-gpu")
    assert components_of(bom) == locked(lock)
    assert {"name": "sluice:made-from", "value": lock} in bom["metadata"]["properties"]


def test_every_image_that_a_mirror_needs_has_one() -> None:
    images = (layout.REPO / "docs" / "air-gapped.md").read_text()
    assert set(re.findall(r"^\| ([a-z-]+) \| `images\.", images, re.MULTILINE)) == set(sbom.KINDS)
