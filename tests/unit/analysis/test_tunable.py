"""Whether a policy tunes engines at all."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import a_policy, a_target, a_tuning

from trimtab_operator.analysis.tunable import has_knobs, tunes_engines


@pytest.mark.parametrize(
    ("runtime", "spec", "expected"),
    [
        pytest.param("trimtab", {}, True, id="the safe set"),
        pytest.param("trimtab", {"knobs": {}}, False, id="nothing but replicas"),
        pytest.param("trimtab", {"knobs": {"batching": {}}}, True, id="batching"),
        pytest.param("trimtab", {"knobs": {"cache": {}}}, True, id="cache"),
        pytest.param("trimtab", {"knobs": {"quantization": {"allowed": ["None"]}}}, True, id="quantization alone"),
        pytest.param("vllm", {}, False, id="a runtime without knobs"),
        pytest.param("unknown", {}, False, id="a runtime that nobody knows"),
    ],
)
def test_engines_are_tuned_where_policy_and_runtime_leave_a_knob(
    runtime: str, spec: dict[str, Any], expected: bool
) -> None:
    target = a_target(runtime=runtime)
    assert has_knobs(a_policy(**spec), target) is expected
    assert tunes_engines(a_policy(**spec), target) is expected
    assert tunes_engines(a_policy(status={"tuning": a_tuning()}, **spec), target), "what was tuned is looked after"
