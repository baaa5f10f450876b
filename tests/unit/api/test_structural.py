"""The generator refuses each construct that a CustomResourceDefinition cannot say, naming where it stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from trimtab_api.base import VALIDATIONS, Cel, cel, list_map, list_set
from trimtab_api.quantities import Duration
from trimtab_api.structural import SchemaError, structural_schema

Text = Annotated[str, Field(max_length=8)]
Number = Annotated[int, Field(ge=0, le=9)]


class Switch(StrEnum):
    ON = "On"
    OFF = "Off"


class Leaf(BaseModel):
    """A leaf."""

    name: Text = Field(description="Name.")
    note: Text | None = Field(default=None, description="Note.")


class Tree(BaseModel):
    """A tree."""

    branch: Tree | None = Field(default=None, description="Branch.")


class Empty(BaseModel):
    """Nothing."""


class Undescribed(BaseModel):
    x: Text = Field(description="X.")


def schema_of(annotation: Any, **field: Any) -> dict[str, Any]:
    model = type(
        "Model",
        (BaseModel,),
        {"__annotations__": {"x": annotation}, "x": Field(**{"description": "X.", **field}), "__doc__": "A model."},
    )
    assert issubclass(model, BaseModel)
    return structural_schema(model.model_json_schema(), "Model")


FORBIDDEN = {
    "a float": (float, {}, "decimal string"),
    "a union": (Number | Text, {}, "union"),
    "anything": (Any, {}, "needs one type"),
    "a map": (dict[str, str], {}, "maps are not supported"),
    "a map of anything": (dict[str, Any], {}, "maps are not supported"),
    "a fixed tuple": (tuple[Number, Text], {}, "prefixItems"),
    "a recursive model": (Tree, {}, "recursive"),
    "a model without fields": (Empty, {}, "needs properties"),
    "a string without a length": (str, {}, "needs maxLength"),
    "a number without a lower bound": (Annotated[int, Field(le=3)], {}, "needs minimum"),
    "a number without an upper bound": (Annotated[int, Field(ge=3)], {}, "needs maximum"),
    "an exclusive bound": (Annotated[int, Field(gt=3, le=9)], {}, "exclusiveMinimum"),
    "a list without a length": (tuple[Text, ...], {}, "needs maxItems"),
    "a list of anything": (Annotated[tuple[Any, ...], Field(max_length=3)], {}, "items of one type"),
    "a list of strings without a length": (
        Annotated[tuple[str, ...], Field(max_length=3)],
        {},
        r"x\[\]: needs maxLength",
    ),
    "uniqueItems": (Annotated[frozenset[Text], Field(max_length=3)], {}, "uniqueItems"),
    "no description": (Text, {"description": None}, "needs a description"),
    "an empty description": (Text, {"description": " "}, "needs a description"),
    "no description on a model": (Undescribed, {"description": None}, "needs a description"),
    "YAML booleans": (Switch, {}, "booleans in YAML"),
    "an unknown format": (Annotated[str, Field(json_schema_extra={"format": "duration"})], {}, "format 'duration'"),
    "an unknown keyword": (Text, {"json_schema_extra": {"not": {"type": "integer"}}}, r"keywords \['not'\]"),
    "a key that is no property": (
        Annotated[tuple[Leaf, ...], Field(max_length=3)],
        {"json_schema_extra": list_map("uid")},
        "'uid' is not a property",
    ),
    "a key that may be absent": (
        Annotated[tuple[Leaf, ...], Field(max_length=3)],
        {"json_schema_extra": list_map("note")},
        "must be required or have a default",
    ),
    "a set of objects": (
        Annotated[tuple[Leaf, ...], Field(max_length=3)],
        {"json_schema_extra": list_set()},
        "scalar items",
    ),
    "a rule that hides the rule of its type": (
        Duration,
        {"json_schema_extra": cel(Cel("self == oldSelf", "immutable"))},
        "the pattern got lost",
    ),
}


@pytest.mark.parametrize("case", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_forbidden_construct_is_refused_by_its_path(case: tuple[Any, dict[str, Any], str]) -> None:
    annotation, field, problem = case
    with pytest.raises(SchemaError, match=problem) as refusal:
        schema_of(annotation, **field)
    assert str(refusal.value).startswith("Model.x")


def test_an_undefined_reference_is_refused() -> None:
    with pytest.raises(SchemaError, match="not defined"):
        structural_schema({"$ref": "#/$defs/Ghost"}, "Model")


def test_optional_reads_as_absent_and_never_as_null() -> None:
    schema = schema_of(Text | None, default=None)
    assert schema["properties"]["x"] == {"type": "string", "maxLength": 8, "description": "X."}


def test_a_literal_becomes_an_enum() -> None:
    assert schema_of(Literal["a"])["properties"]["x"]["enum"] == ["a"]


def test_an_object_that_is_not_required_defaults_to_the_defaults_inside_of_it() -> None:
    class Inner(BaseModel):
        """Inner."""

        depth: Number = Field(default=3, description="Depth.")
        notes: Annotated[tuple[Text, ...], Field(max_length=3)] = Field(default=(), description="Notes.")

    assert schema_of(Inner, default_factory=Inner)["properties"]["x"]["default"] == {"depth": 3}


def test_rules_of_a_type_and_of_its_field_are_both_kept() -> None:
    class Ruled(BaseModel):
        """Ruled."""

        model_config = ConfigDict(json_schema_extra=cel(Cel("self.name != ''", "name it")))
        name: Text = Field(description="Name.")

    schema = schema_of(Ruled, json_schema_extra=cel(Cel("self == oldSelf", "immutable")))
    assert [rule["message"] for rule in schema["properties"]["x"][VALIDATIONS]] == ["name it", "immutable"]


def test_lists_say_how_they_are_merged() -> None:
    plain = schema_of(Annotated[tuple[Text, ...], Field(max_length=3)])["properties"]["x"]
    keyed = schema_of(Annotated[tuple[Leaf, ...], Field(max_length=3)], json_schema_extra=list_map("name"))
    assert plain["x-kubernetes-list-type"] == "atomic"
    assert keyed["properties"]["x"]["x-kubernetes-list-map-keys"] == ["name"]


def test_a_shown_value_stands_in_the_message_of_a_refusal() -> None:
    (rule,) = cel(Cel("self.a < self.b", 'a below "b"', {"a": "self.a"}))[VALIDATIONS]
    assert rule["messageExpression"] == "\"a below \\\"b\\\"\" + ' (' + 'a is ' + self.a + ')'"
