"""Keeps out of a model pod what BentoML imports for itself and one serving process never uses.

Its process arbiter (circus, zmq, tornado), its proxy to other services (aiohttp, pyparsing) and a command line for
httpx (rich, pygments) would take a seventh of the pod's memory and a third of the import's time. Each is replaced by
an empty module before BentoML is imported. The version is pinned and a contract test covers the places.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, TracebackType
from typing import Any, Self


class NoProxy:
    """Stands for the client with which a BentoML service calls itself or others; the model service calls nobody."""

    to_async = None
    to_sync = None

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def close(self) -> None:
        """BentoML calls this when the service ends."""


def lighten() -> None:
    """Put the empty modules in place; to be called before BentoML is imported."""
    # Without its __init__, which imports the arbiter; `_bentoml_impl.server.app` is found all the same.
    server = ModuleType("_bentoml_impl.server")
    server.__path__ = [f"{folder}/server" for folder in _folders("_bentoml_impl")]
    _place(server)
    _place(ModuleType("_bentoml_impl.server.proxy"), create_proxy_app=None)
    _place(ModuleType("_bentoml_impl.client"), RemoteProxy=NoProxy)
    _place(ModuleType("httpx._main"), main=lambda: None)


def _folders(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(package)
    return list(spec.submodule_search_locations or ())


def _place(module: ModuleType, **content: object) -> None:
    for name, value in content.items():
        setattr(module, name, value)
    sys.modules.setdefault(module.__name__, module)
