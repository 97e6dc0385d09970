"""What an accelerator means for a pod: the device it asks for, the image it runs, the provider it must load."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.config import Provider
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Accelerator, Runtime
from sluice_operator.api.status import Failure


class Device(NamedTuple):
    """The extended resource that stands for one device, and the provider that uses it."""

    resource: str
    provider: str


DEVICES: Mapping[Accelerator, Device] = {
    Accelerator.nvidia: Device(resource="nvidia.com/gpu", provider="CUDAExecutionProvider")
}


def providers(runtime: Runtime) -> tuple[Provider, ...]:
    """The execution providers that must load, the preferred one first; none for the CPU alone."""
    if runtime.providers:
        return tuple(Provider(name=provider.name, options=provider.options) for provider in runtime.providers)
    device = DEVICES.get(runtime.accelerator)
    return (Provider(name=device.provider),) if device else ()


def resources(runtime: Runtime) -> dict[str, Any]:
    """Compute resources of the runtime container: what the spec says, and one device where it names no number."""
    wanted = runtime.resources.to_json()
    device = DEVICES.get(runtime.accelerator)
    if device is None or device.resource in runtime.resources.limits:
        return wanted
    return wanted | {"limits": {**wanted.get("limits", {}), device.resource: "1"}}


def refusal(resource: ModelDeployment, default_image: str) -> Failure | None:
    """Why the accelerator cannot be had: the operator knows no image for it, and the spec names none."""
    runtime = resource.spec.runtime
    if runtime.image or default_image:
        return None
    return Failure(
        reason="AcceleratorUnavailable",
        message=f"this operator has no runtime image for accelerator {runtime.accelerator}: name one in "
        "spec.runtime.image, or in images.runtimeGpu of the operator's chart",
    )
