"""JSON schema of pydantic -> structural schema of Kubernetes. Fails closed: what it does not know is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimtab_api.base import LIST_MAP_KEYS, LIST_SET, PATTERN_MESSAGE, VALIDATIONS

Schema = Mapping[str, Any]

_DROPPED = {"title", "$defs", "additionalProperties", PATTERN_MESSAGE, LIST_MAP_KEYS, LIST_SET}
_KEPT_BY_TYPE = {
    "object": {"properties", "required"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "enum", "format"},
    "integer": {"minimum", "maximum", "enum"},
    "boolean": set[str](),
}
_KEPT_ALWAYS = {"type", "description", "default", VALIDATIONS}
_YAML_BOOLEANS = {"on", "off", "yes", "no", "y", "n"}


class SchemaError(ValueError):
    """A model uses something that a CustomResourceDefinition cannot say, or leaves out something it must say."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def structural_schema(json_schema: Schema, path: str) -> dict[str, Any]:
    """Return the structural schema of a pydantic JSON schema: refs inlined, rules and bounds checked.

    `path` names the root in errors. Raises SchemaError for recursion, unions, maps, floats, untyped nodes, and for
    missing descriptions or bounds.
    """
    return _Converter(json_schema.get("$defs", {})).convert(json_schema, path, ())


class _Converter:
    """Walks one schema with its definitions."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, node: Schema, path: str, seen: tuple[str, ...]) -> dict[str, Any]:
        node, seen = self._resolved(node, path, seen)
        kind = node.get("type")
        if kind == "number":
            raise SchemaError(path, "floats are not portable: use a decimal string")
        if not isinstance(kind, str) or kind not in _KEPT_BY_TYPE:
            raise SchemaError(path, f"needs one type of {sorted(_KEPT_BY_TYPE)}, has {kind!r}")
        known = _KEPT_ALWAYS | _KEPT_BY_TYPE[kind] | _DROPPED
        if unknown := sorted(set(node) - known):
            raise SchemaError(path, f"keywords {unknown} are not supported for type {kind}")
        result = {key: value for key, value in node.items() if key not in _DROPPED}
        if result.get("default", ()) in (None, [], ""):
            del result["default"]  # absent reads as the same
        match kind:
            case "object":
                result |= self._object(node, path, seen)
            case "array":
                result |= self._array(node, path, seen)
            case "string":
                result = _string(result, node, path)
            case "integer":
                _require_bounds(result, path, "minimum", "maximum")
        return result

    def _resolved(self, node: Schema, path: str, seen: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Inline `$ref`, unwrap `X or null`, turn const into enum, until nothing of that is left."""
        while True:
            if "$ref" in node:
                name = str(node["$ref"]).removeprefix("#/$defs/")
                if name in seen:
                    raise SchemaError(path, f"{name} contains itself: a structural schema cannot be recursive")
                if name not in self._definitions:
                    raise SchemaError(path, f"$ref {node['$ref']!r} is not defined")
                seen = (*seen, name)
                node = _overlaid(self._definitions[name], node, "$ref")
            elif "anyOf" in node:
                choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
                if len(choices) != 1:
                    raise SchemaError(path, "a union of several types is not supported")
                node = _overlaid(choices[0], node, "anyOf")
            elif "const" in node:
                node = {**{key: value for key, value in node.items() if key != "const"}, "enum": [node["const"]]}
            else:
                return node, seen

    def _object(self, node: Schema, path: str, seen: tuple[str, ...]) -> dict[str, Any]:
        if node.get("additionalProperties", False) is not False:
            raise SchemaError(path, "maps are not supported: use a list of objects with a key")
        properties = node.get("properties")
        if not properties:
            raise SchemaError(path, "an object needs properties")
        required = node.get("required", [])
        converted = {}
        for name, child in properties.items():
            child_path = f"{path}.{name}"
            schema = self.convert(child, child_path, seen)
            if not str(schema.get("description", "")).strip() or not _described(child, self._definitions):
                raise SchemaError(child_path, "needs a description")
            if schema["type"] == "object" and name not in required and not _nullable(child):
                schema["default"] = _default_of(schema)
            converted[name] = schema
        return {"properties": converted}

    def _array(self, node: Schema, path: str, seen: tuple[str, ...]) -> dict[str, Any]:
        if not node.get("items"):
            raise SchemaError(path, "a list needs items of one type")
        _require_bounds(node, path, "maxItems")
        items = self.convert(node["items"], f"{path}[]", seen)
        if node.get(LIST_SET):
            if items["type"] == "object":
                raise SchemaError(path, "a set needs scalar items")
            return {"items": items, "x-kubernetes-list-type": "set"}
        keys = node.get(LIST_MAP_KEYS)
        if keys is None:
            return {"items": items, "x-kubernetes-list-type": "atomic"}
        for key in keys:
            if key not in items.get("properties", {}):
                raise SchemaError(path, f"list key {key!r} is not a property of its items")
            if key not in items.get("required", []) and "default" not in items["properties"][key]:
                raise SchemaError(path, f"list key {key!r} must be required or have a default")
        return {"items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _overlaid(inner: Schema, outer: Schema, consumed: str) -> dict[str, Any]:
    """Return the inner node with what the outer one says beside the reference; CEL rules of both are kept."""
    own = {key: value for key, value in outer.items() if key != consumed}
    merged = {**inner, **own}
    if rules := [*inner.get(VALIDATIONS, []), *own.get(VALIDATIONS, [])]:
        merged[VALIDATIONS] = rules
    return merged


def _default_of(schema: Schema) -> dict[str, Any]:
    """Defaults inside of an object apply only where the object is present, so it needs a default of its own.

    It is written out in full: the API server checks CEL rules on a default as it stands, before those inside of it.
    """
    return {name: child["default"] for name, child in schema["properties"].items() if "default" in child}


def _nullable(node: Schema) -> bool:
    return any(choice == {"type": "null"} for choice in node.get("anyOf", ()))


def _described(node: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Whether the field itself is described: pydantic leaves out a description that equals the one of its type."""
    if "description" in node:
        return True
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    return "description" in definitions.get(name, {})


def _string(result: dict[str, Any], node: Schema, path: str) -> dict[str, Any]:
    """Check the bounds of a string, and say its pattern in CEL where the model has a better message for it."""
    if "enum" in result:
        if doubtful := [value for value in result["enum"] if value.lower() in _YAML_BOOLEANS]:
            raise SchemaError(path, f"enum values {doubtful} are booleans in YAML 1.1")
        return result
    if "format" in result:
        if result["format"] != "date-time":
            raise SchemaError(path, f"format {result['format']!r} is not supported")
        return result
    _require_bounds(result, path, "maxLength")
    if PATTERN_MESSAGE not in node:
        return result
    pattern = result.pop("pattern", None)
    rules = list(result.get(VALIDATIONS, []))
    if message := node[PATTERN_MESSAGE]:
        rules.insert(0, {"rule": f"self.matches('{pattern}')", "message": message})
    if pattern is None or not any(f"self.matches('{pattern}')" in rule["rule"] for rule in rules):
        raise SchemaError(path, "the pattern got lost: a CEL rule must match it")
    return result | {VALIDATIONS: rules}


def _require_bounds(node: Schema, path: str, *bounds: str) -> None:
    for bound in bounds:
        if bound not in node and "enum" not in node:
            raise SchemaError(path, f"needs {bound}")
