"""The CustomResourceDefinition's rules, applied as the API server applies them, without one.

Nulls go, defaults come, types and limits are checked (by jsonschema, told in the API server's words), then the CEL
rules (by Google's CEL, which the API server's is a sibling of).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sluice_operator.api import crd

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]

_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "labels": _STRINGS,
        "annotations": _STRINGS,
        **{name: {"type": "string"} for name in ("generateName", "namespace", "selfLink", "uid", "resourceVersion")},
        **{name: {"type": "string"} for name in ("creationTimestamp", "deletionTimestamp")},
        **{name: {"type": "integer"} for name in ("generation", "deletionGracePeriodSeconds")},
        **{name: {"type": "array"} for name in ("ownerReferences", "finalizers", "managedFields")},
    },
}


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a field."""

    place: Place
    message: str

    @property
    def path(self) -> str:
        """The field, as the API server writes it."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place)
        return "".join(parts).lstrip(".")


def mistakes(manifest: Mapping[str, Any]) -> list[Mistake]:
    """Everything the API server would refuse in a ModelDeployment."""
    schema = _definition()
    found = [*_undeclared(manifest, schema, ()), *_repeated(manifest, schema, ())]
    whole = _defaulted(_without_nulls(manifest, schema), schema)
    if not (manifest.get("metadata") or {}).get("name") and not (manifest.get("metadata") or {}).get("generateName"):
        found.append(Mistake(("metadata", "name"), "Required value: name or generateName is required"))
    wrong = [mistake for error in _validator().iter_errors(whole) for mistake in _told(error)]
    # A rule may rest on what has another type than it should: the API server does not ask it either.
    broken = {mistake.place for mistake in wrong}
    ruled = [m for m in _rules(whole, schema, ()) if not any(_inside(place, m.place) for place in broken)]
    return [*found, *wrong, *ruled]


@cache
def _definition() -> Schema:
    root = crd.root_schema()
    named = {**root["properties"], "metadata": METADATA}
    return {**root, "properties": {name: part for name, part in named.items() if name != "status"}}


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_plain(_definition()))


def _plain(schema: Schema) -> dict[str, Any]:
    """The schema without Kubernetes' own keywords, which say the same to a general validator in other words."""
    plain = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        plain["type"] = ["integer", "string"]
    if "properties" in plain:
        plain["properties"] = {name: _plain(part) for name, part in plain["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _plain(plain[key])
    return plain


def _below(value: Any, schema: Schema) -> Iterator[tuple[str | int, Any, Schema]]:
    """What is inside a value and has a schema of its own."""
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            below = properties.get(name, more)
            if isinstance(below, dict):
                yield name, part, below
    elif isinstance(value, list) and "items" in schema:
        for index, part in enumerate(value):
            yield index, part, schema["items"]


def _undeclared(value: Any, schema: Schema, place: Place) -> Iterator[Mistake]:
    closed = "properties" in schema and "additionalProperties" not in schema
    if isinstance(value, dict) and closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        for name in value:
            known = name in schema["properties"] or (not place and name == "status")
            if not known:
                yield Mistake((*place, str(name)), "field not declared in schema")
    for name, part, below in _below(value, schema):
        yield from _undeclared(part, below, (*place, name))


def _repeated(value: Any, schema: Schema, place: Place) -> Iterator[Mistake]:
    """Items of a list that are told apart by some of their fields, or by all that they are, and cannot be."""
    if isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set"):
        keys = schema.get("x-kubernetes-list-map-keys")
        told = [_identity(item, keys) for item in value]
        for one in sorted({one for one in told if told.count(one) > 1}):
            yield Mistake(place, f"duplicate entries for key [{one}]")
    for name, part, below in _below(value, schema):
        yield from _repeated(part, below, (*place, name))


def _identity(item: Any, keys: list[str] | None) -> str:
    if keys is None or not isinstance(item, dict):
        return _shown(item)
    return ",".join(f"{key}={_shown(item.get(key))}" for key in keys)


def _without_nulls(value: Any, schema: Schema) -> Any:
    """A field that is null and has a default is one that is not there."""
    if isinstance(value, dict):
        parts = {name: below for name, _, below in _below(value, schema)}
        return {
            name: _without_nulls(part, parts.get(name, {}))
            for name, part in value.items()
            if part is not None or "default" not in parts.get(name, {})
        }
    if isinstance(value, list) and "items" in schema:
        return [_without_nulls(part, schema["items"]) for part in value]
    return value


def _defaulted(value: Any, schema: Schema) -> Any:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        absent = {n: part["default"] for n, part in properties.items() if n not in value and "default" in part}
        whole = {**value, **absent}
        parts = {name: below for name, _, below in _below(whole, schema)}
        return {name: _defaulted(part, parts[name]) if name in parts else part for name, part in whole.items()}
    if isinstance(value, list) and "items" in schema:
        return [_defaulted(part, schema["items"]) for part in value]
    return value


def _told(error: ValidationError) -> Iterator[Mistake]:
    """A mistake in the words of the API server."""
    place: Place = tuple(error.absolute_path)
    if error.validator == "required":
        wanted: Any = error.validator_value
        missing = next(name for name in wanted if error.message.startswith(repr(name)))
        yield Mistake((*place, missing), "Required value")
        return
    word = _WORDS.get(str(error.validator), lambda _: error.message)
    yield Mistake(place, f"Invalid value: {_shown(error.instance)}: {word(error.validator_value)}")


def _shown(value: Any) -> str:
    kinds = {dict: "object", list: "array", type(None): "null"}
    if type(value) in kinds:
        return f'"{kinds[type(value)]}"'
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "type": lambda kind: f"must be of type {kind if isinstance(kind, str) else ' or '.join(kind)}",
    "enum": lambda known: "supported values: " + ", ".join(f'"{value}"' for value in known),
    "pattern": lambda pattern: f"should match '{pattern}'",
    "minimum": lambda least: f"should be greater than or equal to {least}",
    "maximum": lambda most: f"should be less than or equal to {most}",
    "minLength": lambda least: f"should be at least {least} chars long",
    "maxLength": lambda most: f"may not be longer than {most}",
    "minItems": lambda least: f"should have at least {least} items",
    "maxItems": lambda most: f"must have at most {most} items",
    "minProperties": lambda least: f"should have at least {least} properties",
    "maxProperties": lambda most: f"must have at most {most} items",
}


def _rules(value: Any, schema: Schema, place: Place) -> Iterator[Mistake]:
    for rule in schema.get("x-kubernetes-validations", ()):
        # A rule over what was there before has nothing to compare with.
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            named = tuple(part for part in rule.get("fieldPath", "").split(".") if part)
            yield Mistake((*place, *named), f"Invalid value: {_shown(value)}: {rule['message']}")
    for name, part, below in _below(value, schema):
        yield from _rules(part, below, (*place, name))


def _holds(rule: str, value: Any) -> bool:
    """Whether a rule holds; one that cannot be computed does not, as with the API server."""
    result = compiled(rule).eval(data={"self": value})
    return result.type() == cel.Type.BOOL and result.value() is True


@cache
def compiled(rule: str) -> cel.Expression:
    """A rule, ready to be asked; raises where it uses what is not known here."""
    # Kubernetes has fields of reserved names written so; CEL itself takes the name.
    return _environment().compile(re.sub(r"\.__([a-z]+)__", r".\1", rule))


@cache
def _environment() -> cel.Env:
    """CEL with its own functions over strings and Kubernetes' over lists."""
    values = cel.Type.List(cel.Type.DYN)
    functions: Mapping[str, tuple[cel.Type, Callable[[Any], Any]]] = {
        "isSorted": (cel.Type.BOOL, lambda found: list(found) == sorted(found)),
        "sum": (cel.Type.DYN, sum),
        "min": (cel.Type.DYN, min),
        "max": (cel.Type.DYN, max),
    }
    declared = [
        cel.FunctionDecl(name, [cel.Overload(f"list_{name}", result, [values], True, function)])
        for name, (result, function) in functions.items()
    ]
    lists = cel.CelExtension("kubernetes.lists", declared)
    return cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[ExtStrings(), lists])


def _inside(outer: Place, inner: Place) -> bool:
    """Whether a place is another one, or around or inside it."""
    shared = min(len(outer), len(inner))
    return outer[:shared] == inner[:shared]
