"""The public conformance suite of HTTP/2, every case of it, against the runtime's own HTTP/2.

A page stands on top and not gRPC, because the suite asks for pages: gRPC would refuse its requests by their heads,
before most of what it does wrong on purpose is reached.
"""

import asyncio
import os
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from localcluster import cachedir, layout
from localcluster.progress import step
from support.http2_server import pages

MODULE = Path(__file__).parent / "go"
PROGRAM = "github.com/summerwind/h2spec/cmd/h2spec"
CASES = 140
"""At least so many; fewer would mean that the suite did not run."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def h2spec() -> Path:
    content = cachedir.digest_files(MODULE, MODULE.iterdir())
    return cachedir.ensure(layout.cache() / "bin" / f"h2spec-{content}", build) / "h2spec"


def build(folder: Path) -> None:
    argv = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / "h2spec"), PROGRAM]
    with step("building h2spec (once per machine)"):
        subprocess.run(argv, cwd=MODULE, env={**os.environ, "CGO_ENABLED": "0"}, check=True, capture_output=True)


async def test_every_case_of_the_suite_passes(h2spec: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    async with pages() as port:
        argv = [str(h2spec), "--strict", "--port", str(port), "--timeout", "5", "--junit-report", str(report)]
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    cases = ET.parse(report).getroot().findall(".//testcase")
    outcomes = Counter(outcome(case) for case in cases)
    assert set(outcomes) == {"passed"}, output.decode()
    assert outcomes.total() >= CASES


def outcome(case: ET.Element) -> str:
    return next((found.tag for found in case if found.tag in ("failure", "error", "skipped")), "passed")
