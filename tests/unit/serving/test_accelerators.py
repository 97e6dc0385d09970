"""A session runs where its settings say, or the pod ends with the reason why not."""

from typing import Any

import pytest

from sluice.config import Provider
from sluice.failures import PackageError, Reason
from sluice_runtime.accelerators import CPU, CUDA, session_on

WITH_CUDA = [CUDA, CPU]
GPU = Provider(name=CUDA, options={"gpu_mem_limit": "1024"})


class FakeSession:
    """A session that uses the providers it was made with, unless the fake's machine cannot load them."""

    def __init__(self, providers: list[str]) -> None:
        self._providers = providers

    def get_providers(self) -> list[str]:
        return self._providers


class FakeMachine:
    """Makes sessions; `loads` are the providers that work here, `raises` those that fail with a word."""

    def __init__(self, loads: set[str], raises: dict[str, str] | None = None) -> None:
        self.loads, self.raises = loads, raises or {}
        self.asked: list[list[Any]] = []

    def make(self, wanted: list[Any]) -> FakeSession:
        self.asked.append(wanted)
        names = [name if isinstance(name, str) else name[0] for name in wanted]
        for name in names:
            if name in self.raises:
                raise RuntimeError(self.raises[name])
        return FakeSession([name for name in names if name in self.loads])


def refusal(machine: FakeMachine, *providers: Provider, available: list[str] = WITH_CUDA) -> PackageError:
    with pytest.raises(PackageError) as caught:
        session_on(providers, machine.make, available)
    assert caught.value.reason is Reason.ACCELERATOR_UNAVAILABLE
    assert caught.value.reason.permanent
    return caught.value


def test_without_a_provider_the_cpu_alone_is_asked() -> None:
    machine = FakeMachine({CPU})
    assert session_on((), machine.make, [CPU]).get_providers() == [CPU]
    assert machine.asked == [[CPU]]


def test_a_provider_comes_before_the_cpu_with_its_options() -> None:
    machine = FakeMachine({CUDA, CPU})
    assert session_on([GPU], machine.make, WITH_CUDA).get_providers() == [CUDA, CPU]
    assert machine.asked == [[(CUDA, {"gpu_mem_limit": "1024"}), CPU]]


def test_the_cpu_may_be_named_with_options_of_its_own() -> None:
    machine = FakeMachine({CPU})
    session_on([Provider(name=CPU, options={"use_arena": "0"})], machine.make, [CPU])
    assert machine.asked == [[(CPU, {"use_arena": "0"})]]


def test_an_image_without_the_provider_is_told_before_anything_is_loaded() -> None:
    machine = FakeMachine({CPU})
    assert CUDA in refusal(machine, GPU, available=[CPU]).message
    assert machine.asked == []


def test_a_quiet_fall_back_to_the_cpu_is_a_failure() -> None:
    assert "driver" in refusal(FakeMachine({CPU}), GPU).message


def test_every_provider_named_must_load() -> None:
    tensorrt = Provider(name="TensorrtExecutionProvider")
    error = refusal(FakeMachine({CUDA, CPU}), tensorrt, GPU, available=[tensorrt.name, *WITH_CUDA])
    assert error.message.startswith("TensorrtExecutionProvider cannot be used")


def test_a_provider_that_raises_is_told_in_its_own_words() -> None:
    machine = FakeMachine({CPU}, raises={CUDA: "CUDA failure 100: no CUDA-capable\ndevice is detected"})
    assert "no CUDA-capable device is detected" in refusal(machine, GPU).message


def test_a_graph_that_the_cpu_refuses_too_is_the_models_fault() -> None:
    machine = FakeMachine(set(), raises={CUDA: "cannot run Foo", CPU: "Foo is not a registered operator"})
    with pytest.raises(RuntimeError, match="not a registered operator"):
        session_on([GPU], machine.make, WITH_CUDA)
