"""The definition is structural, complete and says what every field means."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_operator.api import crd, names
from sluice_operator.api.resource import NAME_MAX
from sluice_operator.api.spec import ModelDeploymentSpec

LABEL_MAX = 63
SHORT_HASH = names.short_hash("any")


def parts(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from parts(schema["additionalProperties"], f"{path}{{}}")


ROOT = crd.root_schema()
SPEC = ROOT["properties"]["spec"]
STATUS = ROOT["properties"]["status"]
FIELDS = [*parts(SPEC, "spec"), *parts(STATUS, "status")]


def test_every_part_has_one_type_or_is_a_quantity_or_a_value_of_a_feature() -> None:
    untyped = [path for path, part in FIELDS if "type" not in part and not part.get("x-kubernetes-int-or-string")]
    assert untyped == ["spec.features.inputs[].default"]


def test_every_field_says_what_it_means() -> None:
    silent = [path for path, part in FIELDS if "description" not in part and not path.endswith(("[]", "{}"))]
    assert silent == []


def test_nothing_but_structural_keywords_is_left() -> None:
    for path, part in FIELDS:
        assert {key for key in part if not key.startswith("x-kubernetes-")} <= set(crd.KEPT), path


def test_texts_lists_and_maps_that_a_user_writes_are_bounded() -> None:
    """Without bounds the API server cannot estimate what a rule costs, and refuses the definition."""
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}}
    unbounded = [
        path
        for path, part in parts(SPEC, "spec")
        if "podTemplate" not in path and part.get("type") in bounds and not bounds[part["type"]] & set(part)
    ]
    assert unbounded == []


def test_an_omitted_object_is_defaulted_so_that_its_inside_is() -> None:
    inner = SPEC["properties"]
    assert {name: inner[name]["default"] for name in ("runtime", "scaling", "rollout", "router")} == {
        "runtime": {},
        "scaling": {},
        "rollout": {},
        "router": {},
    }
    assert inner["runtime"]["properties"]["batching"]["default"] == {}


def test_a_default_that_differs_from_its_types_own_is_written_out() -> None:
    resources = SPEC["properties"]["runtime"]["properties"]["resources"]
    assert resources["default"] == {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}


def test_only_the_model_must_be_written() -> None:
    assert ROOT["required"] == ["spec"]
    assert SPEC["required"] == ["model"]


def test_status_neither_defaults_nor_demands_anything_but_the_keys_of_its_list_maps() -> None:
    found = {path: part for path, part in parts(STATUS, "status") if "default" in part or "required" in part}
    assert {path: part.get("required") for path, part in found.items()} == {"status.conditions[]": ["type"]}


def test_the_scale_subresource_points_at_fields_that_exist() -> None:
    (version,) = crd.definition()["spec"]["versions"]
    paths = {path for path, _ in FIELDS}
    assert {path.removeprefix(".") for path in version["subresources"]["scale"].values()} <= paths
    selector = next(part for path, part in FIELDS if path == "status.selector")
    assert selector["type"] == "string"


def test_columns_point_at_fields_that_exist() -> None:
    paths = {path for path, _ in FIELDS} | {"metadata.creationTimestamp"}
    for column in crd.COLUMNS:
        path = column["jsonPath"].removeprefix(".").replace('[?(@.type=="Ready")]', "[]")
        assert path in paths, column["name"]


def test_the_weight_that_is_shown_is_the_one_the_routers_apply() -> None:
    (weight,) = (column for column in crd.COLUMNS if column["name"] == "Weight")
    assert weight["jsonPath"] == ".status.rollout.verifiedWeight"
    assert "priority" not in weight


@pytest.mark.parametrize(
    "child",
    [
        names.endpoint("a" * NAME_MAX),
        names.router("a" * NAME_MAX),
        names.model("a" * NAME_MAX, SHORT_HASH),
        names.resolver("a" * NAME_MAX, SHORT_HASH),
    ],
)
def test_the_longest_name_leaves_room_for_every_child(child: str) -> None:
    assert len(child) <= LABEL_MAX


def test_the_yaml_says_what_the_definition_says() -> None:
    assert yaml.safe_load(crd.render()) == crd.definition()


def test_a_reference_is_put_in_place_and_what_stands_beside_it_wins() -> None:
    definitions = {"Size": {"type": "integer", "description": "of the type", "title": "Size", "minimum": 1}}
    schema = {"$ref": "#/$defs/Size", "description": "of the field"}
    assert crd.structural(schema, definitions) == {"type": "integer", "description": "of the field", "minimum": 1}


def test_an_optional_field_is_one_that_may_be_absent_and_never_null() -> None:
    schema = {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}], "default": None}
    assert crd.structural(schema, {}) == {"type": "string", "maxLength": 3}


def test_a_quantity_has_no_type_but_keeps_its_pattern() -> None:
    schema = {"type": "string", "pattern": "^[0-9]+$", "x-kubernetes-int-or-string": True}
    assert crd.structural(schema, {}) == {"pattern": "^[0-9]+$", "x-kubernetes-int-or-string": True}


def test_a_choice_between_types_is_refused() -> None:
    with pytest.raises(ValueError, match="too many values"):
        crd.structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})


def test_a_keyword_without_a_structural_form_is_refused() -> None:
    with pytest.raises(ValueError, match="exclusiveMinimum"):
        crd.structural({"type": "integer", "exclusiveMinimum": 1}, {})


def test_a_number_as_a_quantity_becomes_text() -> None:
    spec = {"model": {"uri": "file:///m"}, "runtime": {"resources": {"requests": {"cpu": 2}}}}
    assert ModelDeploymentSpec.model_validate(spec).runtime.resources.requests == {"cpu": "2"}


def test_truth_is_no_quantity() -> None:
    spec = {"model": {"uri": "file:///m"}, "runtime": {"resources": {"requests": {"cpu": True}}}}
    with pytest.raises(ValueError, match="cpu"):
        ModelDeploymentSpec.model_validate(spec)


def test_the_copies_in_the_repository_are_checked_byte_by_byte(tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    assert crd.stale([copy]) == [copy]
    copy.write_text(crd.render())
    assert crd.stale([copy]) == []
    copy.write_text(crd.render() + "\n")
    assert crd.stale([copy]) == [copy]
