"""docs/reference/api.md, written from the same schemas as the CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trimtab_api.base import API_VERSION, VALIDATIONS
from trimtab_api.conditions import REASONS
from trimtab_api.kinds import KINDS, Kind, crd_of

_HEAD = f"""# API reference: {API_VERSION}

Generated from the models in `crds/trimtab_api` by `make generate`; do not edit.

The first mistake everybody makes: shares, prices and other decimal numbers are **strings in quotes**.
`max: 0.01` is refused with "must be of type string"; write `max: "0.01"`. Durations are strings with units, above 0
and at most 24h: `500ms`, `5m`, `1h30m`. Sizes are Kubernetes quantities: `512Mi`, `8Gi`.
A field that is not listed here is refused by `kubectl` (strict validation is its default).
"""


def reference_page() -> str:
    """Return the whole page in Markdown."""
    parts = [_HEAD, *(_kind_section(kind) for kind in KINDS), _conditions_section()]
    return "\n".join(parts)


def _kind_section(kind: Kind) -> str:
    version = crd_of(kind)["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    columns = ", ".join(column["name"] for column in version["additionalPrinterColumns"])
    lines = [
        f"## {kind.name}",
        "",
        f"{schema['description']}",
        "",
        f"Short name `{kind.short_name}`, scope {kind.scope}. `kubectl get {kind.short_name}` shows {columns}.",
        "",
    ]
    if rules := schema.get(VALIDATIONS):
        lines += [*(f"* {rule['message']}." for rule in rules), ""]
    for part in ("spec", "status"):
        lines += [f"### {kind.name} {part}", "", "| field | accepted | default | |", "|---|---|---|---|"]
        lines += [_row(*field) for field in _fields(schema["properties"][part], part)]
        lines.append("")
        if crossing := list(_cross_field_rules(schema["properties"][part], part)):
            lines += ["Rules:", "", *(f"* `{path}`: {message}" for path, message in crossing), ""]
    return "\n".join(lines)


def _conditions_section() -> str:
    lines = ["## Conditions of a policy", "", "| type | reasons |", "|---|---|"]
    lines += [f"| {condition} | {', '.join(reasons)} |" for condition, reasons in REASONS.items()]
    return "\n".join([*lines, ""])


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for name, child in schema["properties"].items():
        child_path = f"{path}.{name}"
        yield child_path, child, name in schema.get("required", ())
        if child["type"] == "object":
            yield from _fields(child, child_path)
        elif child["type"] == "array" and child["items"]["type"] == "object":
            yield from _fields(child["items"], f"{child_path}[]")


def _cross_field_rules(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if schema["type"] in ("object", "array") or _is_transition(schema):
        yield from ((path, rule["message"]) for rule in schema.get(VALIDATIONS, ()))
    for name, child in schema.get("properties", {}).items():
        yield from _cross_field_rules(child, f"{path}.{name}")
    if schema["type"] == "array":
        yield from _cross_field_rules(schema["items"], f"{path}[]")


def _is_transition(schema: dict[str, Any]) -> bool:
    return any("oldSelf" in rule["rule"] for rule in schema.get(VALIDATIONS, ()))


def _row(path: str, schema: dict[str, Any], required: bool) -> str:
    default = "required" if required else _shown_default(schema)
    cells = (f"`{path}`", _accepted(schema), default, schema["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown_default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None or schema["type"] == "object" else f"`{default}`"


def _accepted(schema: dict[str, Any]) -> str:
    match schema:
        case {"enum": values}:
            text = ", ".join(f"`{value}`" for value in values)
        case {"type": "integer", "minimum": low, "maximum": high}:
            text = f"{low} to {high}"
        case {"type": "array", "maxItems": most, "items": items}:
            text = f"at most {most}" + (f" of {_accepted(items)}" if items["type"] != "object" else "")
        case {"format": "date-time"}:
            text = "time"
        case {"type": "string", "x-kubernetes-validations": [{"message": message}, *_]} if "must be" in message:
            text = str(message).removeprefix("must be ")
        case {"type": "string", "maxLength": most}:
            text = f"text of at most {most} characters"
        case _:
            text = str(schema["type"])
    return text
