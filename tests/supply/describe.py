"""Describes the file system of an image as CycloneDX JSON: `describe.py ROOT NAME TARGET [PURL...]`.

Where ROOT is a file it is the lock that the image's Python packages are installed from, and the bill says so.

Runs in an environment of its own. Python packages are found by OWASP's cyclonedx-py, which asks an interpreter for its
path: it is given a stand-in that answers with the image's, so that nothing of the image is run. Debian's packages are
those of dpkg's own record. PURLs name what neither of them knows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from debian.deb822 import Deb822
from packageurl import PackageURL

SITES = ("opt/venv/lib/python3*/site-packages", "usr/lib/python3/dist-packages", "usr/local/lib/python3*/site-packages")


def main(root: Path, name: str, target: Path, purls: Sequence[str]) -> None:
    """Write the bill of materials of the file system at `root`."""
    bom = python_packages(root) if root.is_dir() else locked_packages(root)
    bom.components.update(debian_packages(root))
    bom.components.update(program(purl) for purl in purls)
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=name, bom_ref="image")
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"not a valid bill of materials: {error}")
    target.write_text(text + "\n")


def program(text: str) -> Component:
    purl = PackageURL.from_string(text)
    return Component(type=ComponentType.APPLICATION, name=purl.name, version=purl.version, purl=purl, bom_ref=text)


def python_packages(root: Path) -> Bom:
    """What is installed where Python in the image looks."""
    sites = [str(site) for pattern in SITES for site in sorted(root.glob(pattern))]
    with tempfile.TemporaryDirectory() as folder:
        interpreter = Path(folder, "python")
        interpreter.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(sites)}\nEND\n")
        interpreter.chmod(0o755)
        return read_by("environment", interpreter)


def locked_packages(lock: Path) -> Bom:
    """What a lock has pip install, with the hashes that pip demands; and that this is all that is known."""
    bom = read_by("requirements", lock)
    bom.metadata.properties.add(Property(name="sluice:made-from", value=f"{lock.parent.name}/{lock.name}"))
    bom.metadata.properties.add(Property(name="sluice:left-out", value="the packages of the base image"))
    return bom


def read_by(command: str, source: Path) -> Bom:
    """What cyclonedx-py makes of an interpreter or a lock."""
    words = [sys.executable, "-m", "cyclonedx_py", command, "--output-reproducible", str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    bom: Bom = Bom.from_json(json.loads(done.stdout))
    return bom


def debian_packages(root: Path) -> Iterator[Component]:
    """What dpkg has installed; nothing where the image has no dpkg."""
    record = root / "var/lib/dpkg/status"
    if not record.exists():
        return
    release = dict(line.split("=", 1) for line in (root / "etc/os-release").read_text().splitlines() if "=" in line)
    distro = f"debian-{release['VERSION_ID'].strip(chr(34))}"
    with record.open(encoding="utf-8") as lines:
        for entry in Deb822.iter_paragraphs(lines, use_apt_pkg=False):
            if entry["Status"].endswith(" installed"):
                yield debian_package(entry, distro)


def debian_package(entry: Deb822, distro: str) -> Component:
    name, version, architecture = entry["Package"], entry["Version"], entry["Architecture"]
    where = {"arch": architecture, "distro": distro}
    purl = PackageURL("deb", "debian", name, version, where)
    return Component(name=name, version=version, purl=purl, bom_ref=f"deb:{name}:{architecture}={version}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
