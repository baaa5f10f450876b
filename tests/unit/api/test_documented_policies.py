"""The policies that the documentation shows are read by the models without loss, and do what their text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from trimtab_api import OptimizationPolicy
from trimtab_api.engine_settings import Quantization
from trimtab_api.policy_spec import Mode

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documented(page: str) -> list[dict[str, Any]]:
    found = [item for block in FENCE.findall((ROOT / page).read_text()) for item in yaml.safe_load_all(block)]
    return [item for item in found if isinstance(item, dict) and item.get("kind") == "OptimizationPolicy"]


def lost(asked: Any, stored: Any, path: str = "spec") -> list[str]:
    """Paths whose value was asked for and is not what the models write."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return [gap for key, value in asked.items() for gap in lost(value, stored.get(key), f"{path}.{key}")]
    return [] if asked == stored else [path]


PAGES = [str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]]
POLICIES = [
    pytest.param(body, id=f"{page}#{number}") for page in PAGES for number, body in enumerate(documented(page), 1)
]


@pytest.mark.parametrize("body", POLICIES)
def test_no_field_of_a_documented_policy_is_unknown_to_the_models(body: dict[str, Any]) -> None:
    assert lost(body["spec"], OptimizationPolicy.model_validate(body).spec.to_body()) == []


def test_the_guide_shows_a_format_with_the_accuracy_that_it_must_keep_and_adaptive_batching_with_its_target() -> None:
    policies = [OptimizationPolicy.model_validate(body) for body in documented("docs/how-to/tune-an-engine.md")]
    (format_policy,) = (each for each in policies if each.spec.knobs and each.spec.knobs.quantization)
    assert format_policy.spec.mode is Mode.APPLY
    assert format_policy.spec.knobs is not None
    assert format_policy.spec.knobs.quantization is not None
    assert format_policy.spec.knobs.quantization.allowed == (Quantization.INT8,)
    assert format_policy.spec.objectives is not None
    assert format_policy.spec.objectives.accuracy_ratio is not None
    batching = [each.spec.knobs.batching for each in policies if each.spec.knobs and each.spec.knobs.batching]
    assert any(each.rule is not None and each.latency_target is not None for each in batching)
