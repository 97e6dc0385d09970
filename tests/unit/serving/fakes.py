"""Small stand-ins with one method each."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np

from sluice.manifest import Datatype, TensorSpec
from sluice_runtime.batching import Batcher
from sluice_runtime.plane import Model
from sluice_runtime.signature import Signature, Tensor, Tensors


class FakeRunner:
    """Doubles its input `x`; remembers the rows of every run; fails for rows that hold a guilty value."""

    def __init__(self, guilty: float | None = None) -> None:
        self.guilty = guilty
        self.runs: list[int] = []
        self.before: Callable[[], None] = lambda: None
        self.threads: set[str] = set()
        self.stopped = False

    def run(self, outputs: list[str], inputs: Tensors) -> list[Tensor]:
        x = inputs["x"]
        self.before()
        self.threads.add(threading.current_thread().name)
        self.runs.append(len(x))
        if self.guilty is not None and (x == self.guilty).any():
            raise RuntimeError("the guilty row\nwith details")
        return [x * 2 for _ in outputs]

    def stop(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False


def spec(name: str, datatype: Datatype, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


class NoBatcher:
    """For code that only reads a model's signature."""


def model_of(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), batcher: Batcher | None = None) -> Model:
    signature = Signature(inputs, outputs or inputs, batchable=False)
    return Model("shop", "3", signature, batcher or NoBatcher())  # type: ignore[arg-type]


def row(*values: float) -> Tensor:
    return np.array([values], dtype=np.float32)


async def turns(count: int = 5) -> None:
    """Let the event loop turn a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
