"""The service under a module-level name, which is how `bentoml build` and `bentoml serve` find it.

Model pods do not use this: `python -m sluice_runtime` runs the same service in one process instead of BentoML's two.
"""

from __future__ import annotations

from sluice.config import RuntimeConfig
from sluice_runtime.runtime import Runtime
from sluice_runtime.service import build_service

service = build_service(Runtime(RuntimeConfig.from_env()))
