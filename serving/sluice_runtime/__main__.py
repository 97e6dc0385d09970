"""`python -m sluice_runtime`: serve the package that the fetch step has brought."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable

from sluice.config import RuntimeConfig
from sluice_runtime.step import run_step


def serve(config: RuntimeConfig, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM. `on_ready` is called once, when the model is loaded.

    Raises:
        PackageError: the model could not be loaded.
    """
    # Read when BentoML and the Prometheus client are imported: a home that may be written to (the root file system is
    # read-only), and no second series for every counter.
    os.environ.setdefault("BENTOML_HOME", "/tmp/bentoml")  # noqa: S108 - the pod's own emptyDir
    os.environ.setdefault("PROMETHEUS_DISABLE_CREATED_SERIES", "True")
    # What is imported lives as long as the process; without collections in between it loads a fifth faster.
    gc.disable()
    from sluice_runtime.runtime import Runtime  # noqa: PLC0415
    from sluice_runtime.server import Server  # noqa: PLC0415
    from sluice_runtime.service import build_service  # noqa: PLC0415

    runtime = Runtime(config)
    if on_ready is not None:
        runtime.on_ready = on_ready
    app = build_service(runtime).to_asgi(is_main=False)
    gc.collect()
    gc.freeze()
    # A request's objects die with it, by reference counting; collections look for what cycles hold, which is little.
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    Server(app, runtime).run()
    if runtime.failure is not None:
        raise runtime.failure


if __name__ == "__main__":
    code = run_step(serve)
    logging.shutdown()
    sys.stderr.flush()
    # Every request is answered by now. A run that outlived its deadline may still hold its thread, and a normal exit
    # would wait for it.
    os._exit(code)
