"""What the chart renders, as objects to pick from."""

from collections.abc import Sequence
from typing import Any

import yaml

from chart import render

Object = dict[str, Any]
ASKED = "sluice-authorizer"


def render_objects(*options: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(render.template(*options)) if found]


def select(objects: Sequence[Object], kind: str, name: str | None = None) -> list[Object]:
    return [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]


def only(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    (found,) = select(objects, kind, name)
    return found


def pod_of(objects: Sequence[Object], name: str = "sluice") -> Object:
    template: Object = only(objects, "Deployment", name)["spec"]["template"]
    return template


def container_of(objects: Sequence[Object], name: str = "sluice") -> Object:
    (container,) = pod_of(objects, name)["spec"]["containers"]
    return dict(container)


def environment_of(objects: Sequence[Object]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container_of(objects)["env"]}


def operator_rules(objects: Sequence[Object]) -> list[Object]:
    rules: list[Object] = only(objects, "ClusterRole", "sluice")["rules"]
    return rules
