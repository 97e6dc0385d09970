"""`sluice run`: the pod's own process on this machine, with nothing around it.

What a pod does in two containers happens here one after the other: bring the package, then serve it. So a model that
serves here serves in the cluster.
"""

from __future__ import annotations

import logging
import os
import shlex
import socket
import sys
import tempfile
from pathlib import Path

import orjson
from pydantic import ValidationError

from sluice.config import RuntimeConfig
from sluice.failures import PackageError
from sluice.local import LocalRun
from sluice.manifest import explain
from sluice.package import Package, open_package
from sluice.telling import fault
from sluice_runtime.__main__ import serve
from sluice_runtime.logs import setup_logging
from sluice_store.fetching import fetch_package

INTERRUPTED = 130

_PATIENCE = 5.0
"""Seconds for the feature store, which at home is seldom next door."""


def main(run: LocalRun) -> int:
    """Serve until Ctrl-C. Returns the exit status: 1 with one line on stderr where the package cannot be served."""
    setup_logging("info" if run.verbose else "error")
    with tempfile.TemporaryDirectory(prefix="sluice-") as scratch:
        tempfile.tempdir = scratch  # whatever the runtime writes goes with it
        try:
            for port in (run.port, run.grpc_port):
                _check_free(run.host, port)
            config, package = prepare(run, Path(scratch))
            serve(config, on_ready=lambda: print(announcement(run, config, package), flush=True))  # noqa: T201
        except (PackageError, OSError) as error:
            return fault(str(error))
        except ValidationError as error:
            return fault(explain(error))
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0


def prepare(run: LocalRun, scratch: Path) -> tuple[RuntimeConfig, Package]:
    """The package, brought to this machine, and the settings that serve it.

    Raises:
        PackageError: why it cannot be had.
        pydantic.ValidationError: the URI is none.
    """
    local = Path(run.source).absolute()
    folder = local if local.is_dir() else scratch / "package"
    uri = run.source if "://" in run.source else f"file://{local}"
    settings = {
        "uri": uri,
        "package_dir": str(folder),
        "host": run.host,
        "port": run.port,
        "grpc_port": run.grpc_port,
        "threads": run.threads,
        "providers": run.providers,
        "features": None if run.features_url is None else {"url": run.features_url, "timeout_seconds": _PATIENCE},
        # This machine is no image: what is installed tells whether a package's code has its libraries.
        "environment_file": None,
        # Nobody routes to this process, so nobody has to be waited for.
        "drain_seconds": 0,
    }
    draft = RuntimeConfig(name="local", **settings)
    package = open_package(folder) if local.is_dir() else fetch_package(draft)
    return draft.model_copy(update={"name": package.manifest.name}), package


def announcement(run: LocalRun, config: RuntimeConfig, package: Package) -> str:
    """Where the model answers, and a command that asks it."""
    # Only `serve` knows what must be set before the libraries behind these are imported.
    from sluice_runtime.intake.intake import intake_of  # noqa: PLC0415
    from sluice_runtime.protocol.openapi import example_request  # noqa: PLC0415
    from sluice_runtime.signature import Requests, Signature  # noqa: PLC0415

    host = "127.0.0.1" if run.host in ("0.0.0.0", "::") else run.host
    url = f"http://{host}:{config.port}/v2/models/{config.name}"
    manifest = package.manifest
    signature = Signature(manifest.inputs, manifest.outputs, batchable=False)
    intake = intake_of(manifest, signature, manifest.features if config.features else None, lambda *_: None)
    example = example_request(Requests(manifest.inputs) if intake is None else intake.requests, intake)
    body = orjson.dumps(example, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return (
        f"serving {config.name} {package.manifest.version}, {package.digest}\n"
        f"  HTTP  {url}\n"
        f"  gRPC  {host}:{config.grpc_port}\n"
        f"try it:\n"
        f"  curl {url}/infer -d {shlex.quote(body)}\n"
        f"Ctrl-C stops."
    )


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"port {port} of {host} cannot be used ({error.strerror}); choose another one") from error


if __name__ == "__main__":
    code = main(LocalRun.from_env())
    logging.shutdown()
    sys.stderr.flush()
    # As in a pod: a run that outlived its deadline may still hold its thread.
    os._exit(code)
