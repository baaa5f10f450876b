"""Every manifest that the documentation shows is accepted by the real API server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


class ApiServer(Protocol):
    """What the shared fixture offers."""

    def kubectl(self, *args: str, input: str | None = None) -> str: ...  # noqa: A002


def examples() -> list[pytest.ParameterSet]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    files = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
    found = [pytest.param(file.read_text(), id=str(file.relative_to(ROOT))) for file in files]
    for page in pages:
        for number, block in enumerate(FENCE.findall(page.read_text()), 1):
            kinds = {str(item.get("kind")) for item in yaml.safe_load_all(block) if isinstance(item, dict)}
            if "OptimizationPolicy" in kinds:
                found.append(pytest.param(block, id=f"{page.relative_to(ROOT)}#{number}"))
    return found


def test_the_documentation_shows_policies() -> None:
    assert len(examples()) >= 3


@pytest.mark.parametrize("manifest", examples())
def test_a_policy_in_the_documentation_is_accepted_as_it_stands(api_server: ApiServer, manifest: str) -> None:
    for item in yaml.safe_load_all(manifest):
        item["metadata"]["namespace"] = "default"
        said = api_server.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump(item)
        )
        assert "serverside-applied" in said
