"""Makes the CustomResourceDefinition from the pydantic types, so that API server and operator share one truth.

Kubernetes takes only *structural* schemas: every `$ref` inlined, no `null` alternatives, defaults that the API
server can apply by itself. What this module cannot express it refuses, so that no rule of the types is lost.

`python -m sluice_operator.api.crd` prints the YAML, `--write` refreshes the copies in the repository and
`--check` fails where one is stale.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sluice_operator.api.base import ApiModel
from sluice_operator.api.resource import GROUP, KIND, NAME_MAX, PLURAL, VERSION
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus

Schema = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[3]
CRD_NAME = f"{PLURAL}.{GROUP}"
COPIES = (
    REPOSITORY / "manifests" / "crd" / f"{CRD_NAME}.yaml",
    REPOSITORY / "charts" / "sluice" / "files" / f"{CRD_NAME}.yaml",
)

HEADER = "# Generated from operator/sluice_operator/api by `python -m sluice_operator.api.crd --write`.\n"

# Keywords of a structural schema that the types use, in the order written; `x-kubernetes-*` passes as well.
KEPT = (
    *("type", "description", "default", "enum", "pattern", "format", "minimum", "maximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("required", "properties", "items", "additionalProperties"),
)
# Pydantic's noise: titles repeat the field's name, and a structural schema has no place for examples.
DROPPED = frozenset({"title", "examples"})

DESCRIPTION = (
    "A model package that is served by pods of its own behind one endpoint. A changed package or runtime becomes "
    "a new revision, which takes over the traffic step by step, is judged on the way, and is taken back where it "
    "fails."
)


def _name_rule(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": f"metadata.name {message}", "fieldPath": ".metadata.name"}


NAME_RULES = [
    _name_rule(
        f"self.metadata.name.size() <= {NAME_MAX}",
        f"must have at most {NAME_MAX} characters, because the names of the objects made from it, such as "
        "<name>-resolve-<10 characters>, must fit into a label of 63",
    ),
    _name_rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "must be lower case letters, digits and '-', begin with a letter and end with a letter or digit, because "
        "a Service of this name is made (DNS-1035 label)",
    ),
]


BACKEND_RULES = [
    {
        "rule": "!has(self.status) || !has(self.status.rollout) || "
        "has(self.spec.router.gateway) == has(oldSelf.spec.router.gateway)",
        "message": "router.backend changes only while no rollout is under way: wait for its end, or abort it first",
        "fieldPath": ".spec.router.backend",
    }
]


def _column(name: str, path: str, description: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column


# Columns of priority 0 are what `kubectl get` shows, the others what `-o wide` adds.
COLUMNS = (
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether a version is loaded and answers."),
    _column("Stable", ".status.stable.revision", "The revision that owns the traffic."),
    _column("Version", ".status.stable.modelVersion", "What the stable version calls itself."),
    _column("Canary", ".status.canary.revision", "The revision under judgement."),
    _column("Weight", ".status.rollout.verifiedWeight", "Percent that every router gives the canary.", "integer"),
    _column("Step", ".status.step", "Step of the rollout."),
    _column("Replicas", ".status.replicas", "Model pods of all revisions.", "integer"),
    _column("Reason", ".status.reason", "The most telling reason."),
    _column("Age", ".metadata.creationTimestamp", "Time since creation.", "date"),
    _column("Available", ".status.readyReplicas", "Model pods that are ready.", "integer", 1),
    _column("URI", ".spec.model.uri", "Where the wanted package is.", priority=1),
    _column("Source", ".status.stable.uri", "Where the stable version's package came from.", priority=1),
    _column("URL", ".status.url", "Where applications send requests.", priority=1),
)


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The structural form of a JSON schema made by pydantic; raises ValueError for what it cannot express."""
    inlined = _inlined(schema, definitions)
    extensions = sorted(key for key in inlined if key.startswith("x-kubernetes-"))
    unknown = set(inlined).difference(KEPT, DROPPED, extensions)
    if unknown:
        raise ValueError(f"no structural form for {sorted(unknown)} in {inlined}")
    result = {key: inlined[key] for key in (*KEPT, *extensions) if key in inlined}
    if isinstance(result.get("additionalProperties"), bool):
        # Unknown fields are pruned or refused by default: strictness is the API server's, not the schema's.
        del result["additionalProperties"]
    if "x-kubernetes-int-or-string" in result:
        del result["type"]
    result = _mapped(result, lambda part: structural(part, definitions))
    if isinstance(result.get("default"), dict):
        result["default"] = _minimal(result["default"], result)
    return result


def _inlined(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The schema with its reference, or its alternative to null, put in place; what stands beside it wins."""
    result = dict(schema)
    while "$ref" in result or "anyOf" in result:
        if "$ref" in result:
            target = definitions[result.pop("$ref").rpartition("/")[2]]
        else:
            (target,) = (option for option in result.pop("anyOf") if option != {"type": "null"})
        result = {**target, **result}
    if result.get("default", ...) is None:
        del result["default"]
    return result


def _mapped(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """The schema with every schema directly inside it changed."""
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {name: change(part) for name, part in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = change(schema[key])
    return result


def _minimal(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """A default without what the API server fills in anyway: it defaults inside a defaulted object as well."""
    properties = schema.get("properties", {})
    result = {}
    for name, part in value.items():
        below = properties.get(name, {})
        least = _minimal(part, below) if isinstance(part, dict) else part
        if least not in (None, {}, []) and least != below.get("default"):
            result[name] = least
    return result


def _schema_of(model: type[ApiModel]) -> Schema:
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    return structural(schema, definitions)


def observed(schema: Schema) -> Schema:
    """The schema without defaults and required fields (keys of list maps aside).

    The operator alone writes status, and a status that another version of it wrote must never stand in the way
    of a change to the spec.
    """
    kept = {key: value for key, value in schema.items() if key not in ("default", "required")}
    result = _mapped(kept, observed)
    if "x-kubernetes-list-map-keys" in result:
        result["items"]["required"] = result["x-kubernetes-list-map-keys"]
    return result


def root_schema() -> Schema:
    """The schema of the whole object."""
    return {
        "type": "object",
        "description": DESCRIPTION,
        "required": ["spec"],
        "x-kubernetes-validations": [*NAME_RULES, *BACKEND_RULES],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": KIND},
            # Named so that the rules can point at it.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": _schema_of(ModelDeploymentSpec),
            "status": observed(_schema_of(ModelDeploymentStatus)),
        },
    }


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition. Helm keeps it on uninstall: deleting it would delete every model."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": list(COLUMNS),
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scaling.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": root_schema()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": CRD_NAME,
            "labels": {"app.kubernetes.io/name": "sluice"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": PLURAL,
                "singular": KIND.lower(),
                "kind": KIND,
                "listKind": f"{KIND}List",
                "shortNames": ["mdep"],
                "categories": ["sluice"],
            },
            "versions": [version],
        },
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which would hide that a type occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render() -> str:
    """The definition as YAML."""
    return HEADER + yaml.dump(definition(), Dumper=_Plain, sort_keys=False, width=110)


def stale(copies: Sequence[Path] = COPIES) -> list[Path]:
    """The copies in the repository that are missing or differ from what the types say."""
    wanted = render()
    return [path for path in copies if not path.is_file() or path.read_text() != wanted]


def _write() -> None:
    for path in stale():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render())


def main() -> int:
    """Print, write or check the definition; the exit status is 1 where a copy is stale."""
    parser = argparse.ArgumentParser(description="The CustomResourceDefinition, made from the API's types.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="refresh the copies in the repository")
    what.add_argument("--check", action="store_true", help="fail where a copy is stale")
    arguments = parser.parse_args()
    if arguments.write:
        _write()
    elif arguments.check:
        for path in stale():
            print(f"{path.relative_to(REPOSITORY)} is stale: run `make generate`", file=sys.stderr)
        return int(bool(stale()))
    else:
        print(render(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
