"""Renders the chart into `manifests/install.yaml`, for those who install with kubectl, kustomize or a pull request.

`python -m chart.render --write` refreshes the file, `--check` fails where it is stale.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from localcluster import build
from sluice_operator.api.crd import REPOSITORY

CHART = REPOSITORY / "charts" / "sluice"
INSTALL = REPOSITORY / "manifests" / "install.yaml"
NAMESPACE = "sluice-system"

HEADER = f"""\
# Rendered from charts/sluice by `python -m chart.render --write`; install it with
#   kubectl apply --server-side -f manifests/install.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/name: sluice
    pod-security.kubernetes.io/enforce: restricted
"""


class ChartError(Exception):
    """Helm refused; the message is what it said."""


def helm(*words: str) -> str:
    """What helm prints; raises ChartError where it refuses."""
    command = [str(build.binary("helm")), *words]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise ChartError(done.stdout + done.stderr)
    return done.stdout


def template(*options: str, namespace: str = NAMESPACE) -> str:
    """The chart's objects as YAML."""
    return helm("template", "sluice", str(CHART), f"--namespace={namespace}", *options)


def render() -> str:
    """The whole of install.yaml."""
    return HEADER + template()


def stale() -> bool:
    """Whether install.yaml differs from what the chart says."""
    return not INSTALL.is_file() or INSTALL.read_text() != render()


def main(words: Sequence[str] | None = None) -> int:
    """Write or check install.yaml; the exit status is 1 where it is stale."""
    parser = argparse.ArgumentParser(description="manifests/install.yaml, rendered from the chart.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="refresh the file")
    what.add_argument("--check", action="store_true", help="fail where the file is stale")
    if parser.parse_args(words).write:
        INSTALL.write_text(render())
        return 0
    if stale():
        print(f"{INSTALL.relative_to(REPOSITORY)} is stale: run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
