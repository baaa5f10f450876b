"""Write docs/reference/chart.md: every value of the chart with type, default and meaning, from its schema."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = Path("docs") / "reference" / "chart.md"
_HEADER = """# Values of the chart

Generated from `charts/trimtab/values.schema.json` by `make generate`; do not edit.
How to install: [install.md](../how-to/install.md). Unknown values are refused.
A type in brackets is a list; `map` takes any keys.

| value | type | default | meaning |
|---|---|---|---|
"""


def rows(schema: dict[str, Any], defaults: Any, path: str = "") -> Iterator[str]:
    """Yield one table row for each value that a person can set, in the order of the schema.

    Raises ValueError where values.yaml lacks a value of the schema or a description is missing.
    """
    for name, entry in schema["properties"].items():
        here = f"{path}{name}"
        if here == "global":
            continue
        if "description" not in entry:
            raise ValueError(f"{here} has no description in values.schema.json")
        if name not in defaults:
            raise ValueError(f"{here} has no default in values.yaml")
        if "properties" in entry:
            yield from rows(entry, defaults[name], f"{here}.")
        else:
            yield f"| `{here}` | {_type(entry)} | {_default(defaults[name])} | {entry['description']} |"


def _type(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    kind = entry["type"]
    if kind == "array":
        return f"[{_type(entry['items'])}]"
    names = [kind] if isinstance(kind, str) else kind
    text = " or ".join("map" if name == "object" else name for name in names)
    if "minimum" in entry:
        text += f" {entry['minimum']}..{entry['maximum']}"
    return text


def _default(value: Any) -> str:
    return f"`{json.dumps(value)}`" if value not in ("", None) else '`""`' if value == "" else "`null`"


def page(root: Path) -> str:
    """Text of the reference page for the chart below `root`. Raises ValueError as `rows` does."""
    chart = root / "charts" / "trimtab"
    schema = json.loads((chart / "values.schema.json").read_text())
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    return _HEADER + "\n".join(rows(schema, defaults)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when --check found the page stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the repository to work in")
    options = parser.parse_args(arguments)
    target = options.root / PAGE
    text = page(options.root)
    if options.check:
        if target.is_file() and target.read_text() == text:
            return 0
        sys.stderr.write(f"{PAGE} is stale: run `make generate`\n")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
