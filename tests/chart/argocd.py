"""Joins the Lua of `manifests/argocd` into the ConfigMap that Argo CD reads: `manifests/argocd/argocd-cm.yaml`.

The script of an action is the same but for the action's name, so there is one, and it is filled in here.
`python -m chart.argocd` refreshes the file.
"""

from typing import Any

import yaml

from sluice_operator.api.crd import REPOSITORY
from sluice_operator.api.request import REQUEST, Action

FOLDER = REPOSITORY / "manifests" / "argocd"
TARGET = FOLDER / "argocd-cm.yaml"
KIND = "sluice.dev_ModelDeployment"
HEADER = """\
# Health and actions of ModelDeployments in Argo CD; made from health.lua and actions/ by `make generate`.
#   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file argocd-cm.yaml
# or as a patch in the kustomization with which you install Argo CD.
"""
SCRIPT = """\
local status = obj.status or {{}}
local revision = ""
if {revision} ~= nil then
  revision = {revision}.revision or ""
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {{}}
end
local id = "argocd-{name}-" .. os.date("!%Y%m%dT%H%M%SZ")
obj.metadata.annotations["{annotation}"] = '{{"id":"' .. id .. '","action":"{action}",{more}"revision":"' .. revision
  .. '","by":"Argo CD"}}'
return obj
"""


def action(name: str) -> str:
    """The script of an action, which asks for it in the annotation that the operator reads."""
    verb = Action(name.removesuffix("-full"))
    about = "status.blocked" if verb is Action.retry else "status.canary"
    more = '"full":true,' if name.endswith("-full") else ""
    return SCRIPT.format(name=name, action=verb.value, annotation=REQUEST, revision=about, more=more)


ACTIONS = ("promote", "promote-full", "pause", "resume", "abort", "retry")


class _Block(yaml.SafeDumper):
    """Writes scripts as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Block.add_representer(str, _text)


def render() -> str:
    """The whole of argocd-cm.yaml."""
    actions = {
        "discovery.lua": (FOLDER / "actions" / "discovery.lua").read_text(),
        "definitions": [{"name": name, "action.lua": action(name)} for name in ACTIONS],
    }
    data: dict[str, Any] = {
        f"resource.customizations.health.{KIND}": (FOLDER / "health.lua").read_text(),
        f"resource.customizations.actions.{KIND}": yaml.dump(actions, Dumper=_Block, sort_keys=False, width=120),
    }
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data}
    return HEADER + yaml.dump(config_map, Dumper=_Block, sort_keys=False, width=120)


if __name__ == "__main__":
    TARGET.write_text(render())
