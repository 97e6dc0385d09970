"""A signed package of 1 GB over a line that breaks ten times, from a store that dies on the way, in little memory."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from integrations.stores.lines import line_to, nothing
from integrations.stores.packing import Shelf, run_step
from sluice.failures import Resolved
from sluice_store.signatures import sign_package
from unit.store.keys import write_keys

GB = 1000**3
MOST_MEMORY = 100 * 1000**2
"""Bytes resident in the step at any time."""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def large(s3_store: Shelf, tmp_path: Path) -> str:
    """A signed package of 1 GB in the store; its digest."""
    plain, folder, archive = tmp_path / "large", tmp_path / "signed", tmp_path / "large.tar"
    plain.mkdir()
    for file in (s3_store.folder / "shop").iterdir():
        (plain / file.name).write_bytes(file.read_bytes())
    with (plain / "weights").open("wb") as weights:
        for _ in range(GB // 10**7):
            weights.write(os.urandom(10**7))
    digest = sign_package(plain, folder, write_keys(tmp_path / "keys")[0])
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    s3_store.put("large.tar", archive)
    for path in (archive, plain / "weights", folder / "weights"):
        path.unlink()
    return digest


def test_a_download_survives_ten_cuts_and_a_restart_in_little_memory(
    s3_store: Shelf, large: str, tmp_path: Path
) -> None:
    faults = {number * 90_000_000: nothing for number in range(1, 11)}
    faults[500_000_000] = s3_store.server.restart
    with line_to(s3_store.server.port, faults) as line:
        endpoint = f"http://127.0.0.1:{line.port}"
        signature = {"publicKeyFile": str(tmp_path / "keys" / "pub.pem")}
        config = s3_store.config("large.tar", tmp_path, digest=large, store={"endpoint": endpoint}, signature=signature)
        outcome = run_step(config)
    assert outcome.word == Resolved(digest=large, name="shop", version="3"), outcome.log
    assert line.cuts == 11
    assert line.passed < 1.1 * GB, "it went on where it was cut"
    assert outcome.peak <= MOST_MEMORY, f"{outcome.peak / 1e6:.0f} MB"
    passed, peak = line.passed / 1e6, outcome.peak / 1e6
    print(f"\n1 GB: {line.cuts} cuts, {passed:.0f} MB over the line, {peak:.0f} MB resident at most")
    assert progress_of(outcome.log), "it says how far it is"


def progress_of(log: str) -> list[str]:
    """What the step said about the transfer."""
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    return [message for message in messages if "are here after" in message]
