"""The stand-in for the Hugging Face Hub answers as the Hub does: the Hub's own client downloads from it."""

import os
import subprocess
from pathlib import Path

from integrations.environments import environment
from integrations.registries.servers import PATIENCE
from runtime.hub import hugging_face
from sluice.digest import package_files
from unit.store.packages import make_package

CLIENT = ("huggingface-hub==2.4.0",)
DOWNLOAD = """
import sys
from huggingface_hub import HfApi, hf_hub_download
told = HfApi().model_info("org/iris", revision="main", files_metadata=True)
print("commit", told.sha)
print("large", *sorted(file.rfilename for file in told.siblings if file.lfs is not None))
for file in told.siblings:
    hf_hub_download("org/iris", file.rfilename, revision=told.sha, local_dir=sys.argv[1])
"""


def test_the_hubs_own_client_downloads_the_same_package(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", weights=os.urandom(100_000))
    python = environment("hub", CLIENT)
    with hugging_face() as hub:
        commit = hub.repository("org/iris", token="hf_s3cret").commit(
            {name: (package / name).read_bytes() for name in package_files(package)}
        )
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": "hf_s3cret",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        target = tmp_path / "downloaded"
        done = subprocess.run(
            [str(python), "-c", DOWNLOAD, str(target)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[:2] == [f"commit {commit}", "large weights"]
    downloaded = {name: (target / name).read_bytes() for name in package_files(package)}
    assert downloaded == {name: (package / name).read_bytes() for name in package_files(package)}
