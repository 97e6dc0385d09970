"""What the runtime uses of BentoML's private modules. A new BentoML that breaks it must fail here, not in a pod."""

import inspect
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runtime.harness import SERVING, config_for
from sluice_runtime.metrics import Metrics
from sluice_runtime.runtime import Runtime

# BentoML makes folders in its home, and warns about its own dependencies, when it is imported.
os.environ.setdefault("BENTOML_HOME", tempfile.mkdtemp(prefix="bentoml-"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import bentoml
    from _bentoml_sdk import Service
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.server.metrics.prometheus import PrometheusClient

    from sluice_runtime.service import ModelService, build_service


@pytest.fixture
def service(tmp_path: Path) -> ModelService:
    config = config_for(tmp_path)
    return build_service(Runtime(config, Metrics("shop", "", CollectorRegistry())))


def test_the_pinned_version_is_the_one_that_runs() -> None:
    lock = (Path(__file__).parents[2] / "serving/requirements.lock").read_text()
    assert f"bentoml=={bentoml.__version__} " in lock


def test_a_service_class_of_our_own_is_accepted(service: ModelService) -> None:
    assert isinstance(service, ModelService)
    assert issubclass(ModelService, Service)
    assert "service_class" in inspect.signature(bentoml.service).parameters


def test_the_asgi_application_is_made_by_one_method_that_can_be_overridden() -> None:
    assert list(inspect.signature(Service.to_asgi).parameters) == ["self", "is_main"]


def test_hooks_are_marked_the_way_the_chassis_looks_for_them(service: ModelService) -> None:
    assert service.inner.start.__bentoml_startup_hook__
    assert service.inner.stop.__bentoml_shutdown_hook__
    assert inspect.iscoroutinefunction(service.inner.__is_ready__)


def test_metrics_can_be_told_that_there_is_one_process() -> None:
    assert "multiproc" in inspect.signature(PrometheusClient).parameters
    assert callable(BentoMLContainer.metrics_client.set)


KEPT_OUT = ("circus", "zmq", "tornado", "aiohttp", "pyparsing", "pygments")


def test_what_a_model_pod_never_uses_is_not_imported(tmp_path: Path) -> None:
    config = config_for(tmp_path).to_env_value()
    environ = {**os.environ, "SLUICE_CONFIG": config, "BENTOML_HOME": str(tmp_path)}
    program = f"""
import asyncio, sys
from sluice_runtime.bento import service
app = service.to_asgi(is_main=False)
async def begin_and_end():
    events = asyncio.Queue()
    for event in ("startup", "shutdown"):
        events.put_nowait({{"type": f"lifespan.{{event}}"}})
    async def send(message):
        print(message["type"])
    await app({{"type": "lifespan", "app": app, "state": {{}}}}, events.get, send)
asyncio.run(begin_and_end())
print([name for name in {KEPT_OUT} if name in sys.modules])
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    result = subprocess.run(command, env=environ, cwd=SERVING, capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[:3] == ["lifespan.startup.complete", "lifespan.shutdown.complete", "[]"]
