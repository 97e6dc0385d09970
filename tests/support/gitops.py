"""What GitOps tools make of an object: Argo CD's health and actions in a real Lua, and kstatus."""

from __future__ import annotations

from typing import Any

import yaml
from lupa.lua51 import LuaRuntime

from chart import argocd
from support.kube import Object


def argo_health(obj: Object) -> str:
    """Argo CD's word for the object's health."""
    return str(run(_config_map()[f"resource.customizations.health.{argocd.KIND}"], obj)["status"])


def argo_actions(obj: Object) -> set[str]:
    """The actions that Argo CD offers for the object."""
    found = run(_scripts()["discovery.lua"], obj)
    return {name for name, action in found.items() if not action["disabled"]}


def argo_action_names() -> list[str]:
    """All actions there are."""
    return [definition["name"] for definition in _scripts()["definitions"]]


def argo_run(name: str, obj: Object) -> Object:
    """The object as an action would have Argo CD write it."""
    scripts = {definition["name"]: definition["action.lua"] for definition in _scripts()["definitions"]}
    changed: Object = run(scripts[name], obj)
    return changed


def kstatus(obj: Object) -> str:
    """The status that kstatus (cli-utils, pkg/kstatus/status) computes of a resource it does not know."""
    status, generation = obj.get("status", {}), obj["metadata"]["generation"]
    if status.get("observedGeneration", generation) != generation:
        return "InProgress"
    conditions = {found["type"]: found["status"] for found in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


def run(script: str, obj: Object) -> Any:
    """What Lua makes of an object: Argo CD gives it as `obj` and takes what the script returns."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return _plain(lua.execute(script))


def _plain(value: Any) -> Any:
    if not hasattr(value, "items"):
        return value
    pairs = dict(value.items())
    return [_plain(pairs[key]) for key in sorted(pairs)] if 1 in pairs else {k: _plain(v) for k, v in pairs.items()}


def _config_map() -> Object:
    found: Object = yaml.safe_load(argocd.TARGET.read_text())["data"]
    return found


def _scripts() -> Object:
    found: Object = yaml.safe_load(_config_map()[f"resource.customizations.actions.{argocd.KIND}"])
    return found
