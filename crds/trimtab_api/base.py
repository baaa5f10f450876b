"""The shared base of every API model, and how a model carries its CEL rules to the generated schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP = "trimtab.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "trimtab.dev/v1alpha1"

VALIDATIONS = "x-kubernetes-validations"
PATTERN_MESSAGE = "x-trimtab-pattern-message"
LIST_MAP_KEYS = "x-trimtab-list-map-keys"
LIST_SET = "x-trimtab-list-set"


@dataclass(frozen=True)
class Cel:
    """One CEL rule: the expression that must hold, and what the user is told when it does not.

    `shows` names the values that a refusal quotes: what to call each, and the CEL that gives it as a string.
    Only string fields: the API server takes string(<integer>) for one of unbounded cost and refuses the whole CRD.
    """

    rule: str
    message: str
    shows: Mapping[str, str] = field(default_factory=dict)

    def to_schema(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.shows:
            values = " + ', ' + ".join(f"'{name} is ' + {value}" for name, value in self.shows.items())
            entry["messageExpression"] = f"{json.dumps(self.message)} + ' (' + {values} + ')'"
        return entry


def cel(*rules: Cel) -> dict[str, Any]:
    """JSON schema extra that carries the rules; for `Field(json_schema_extra=…)` or a model's config."""
    return {VALIDATIONS: [each.to_schema() for each in rules]}


def immutable(path: str, advice: str) -> dict[str, Any]:
    """JSON schema extra for a required field that may never change once it is stored."""
    return cel(Cel("self == oldSelf", f"{path} is immutable: {advice}"))


def list_map(*keys: str) -> dict[str, Any]:
    """JSON schema extra for a list whose entries are merged by these keys (camelCase names)."""
    return {LIST_MAP_KEYS: list(keys)}


def list_set() -> dict[str, Any]:
    """JSON schema extra for a list of distinct scalars."""
    return {LIST_SET: True}


class ApiModel(BaseModel):
    """Frozen; reads camelCase or Python names; ignores fields of newer versions; writes camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=False,
    )

    def to_body(self) -> dict[str, Any]:
        """Return the object as plain JSON data in API spelling; what is absent (None) is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
