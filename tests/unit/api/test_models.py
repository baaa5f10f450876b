"""The models: frozen, tolerant of newer versions, absent is None, and written in API spelling."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trimtab_api import NodeTuning, OptimizationPolicy
from trimtab_api.conditions import REASONS, ConditionType
from trimtab_api.engine_settings import EngineSettings, Knob
from trimtab_api.objectives import GUARDS, ObjectiveName, Objectives
from trimtab_api.policy_spec import Goal, Mode, PolicySpec
from trimtab_api.policy_status import Phase
from trimtab_api.trial_rules import TrialRules


def a_body(**spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "minilm"}
    return {"metadata": {"name": "minilm", "namespace": "demo"}, "spec": {"targetRef": target, **spec}}


def test_a_policy_of_only_a_target_recommends_and_leaves_all_else_alone() -> None:
    policy = OptimizationPolicy.model_validate(a_body())
    assert (policy.spec.mode, policy.spec.goal) == (Mode.RECOMMEND, Goal.MINIMIZE_COST)
    assert (policy.spec.knobs, policy.spec.scaling, policy.spec.objectives) == (None, None, None)
    assert policy.status.phase is Phase.UNKNOWN
    assert policy.spec.trial == TrialRules()


def test_fields_of_a_newer_version_are_ignored_when_reading() -> None:
    body = a_body(autopilot=True)
    body["spec"]["targetRef"]["cluster"] = "east"
    assert OptimizationPolicy.model_validate(body) == OptimizationPolicy.model_validate(a_body())


def test_models_are_frozen_and_hashable() -> None:
    spec = OptimizationPolicy.model_validate(a_body(freeze=[{"days": ["Fri"], "from": "16:00", "to": "24:00"}])).spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.mode = Mode.APPLY  # type: ignore[misc]
    assert len({spec, OptimizationPolicy.model_validate(a_body()).spec}) == 2


def test_what_is_written_is_in_api_spelling_and_leaves_out_what_is_absent() -> None:
    spec = PolicySpec.model_validate(
        a_body(freeze=[{"days": ["Fri"], "from": "16:00", "to": "24:00"}], rollbackTo="minilm-7")["spec"]
    )
    written = spec.to_body()
    assert written["freeze"] == [{"days": ["Fri"], "from": "16:00", "to": "24:00", "timeZone": "UTC"}]
    assert written["rollbackTo"] == "minilm-7"
    assert "objectives" not in written
    assert PolicySpec.model_validate(written) == spec


def test_python_names_are_read_as_well_as_api_names() -> None:
    assert EngineSettings(max_batch_size=8) == EngineSettings.model_validate({"maxBatchSize": 8})


@pytest.mark.parametrize(
    "spec",
    [
        {"objectives": {"errorRatio": {"max": 0.01}}},
        {"objectives": {"latency": {"max": "-5m"}}},
        {"scaling": {"maxReplicas": 0}},
        {"mode": "Off"},
        {"freeze": [{"days": [], "from": "16:00", "to": "24:00"}]},
    ],
    ids=["number for a string", "negative duration", "no replicas", "unknown mode", "no days"],
)
def test_an_invalid_stored_object_raises_a_validation_error(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OptimizationPolicy.model_validate(a_body(**spec))


def test_every_objective_is_a_field_and_the_guards_are_some_of_them() -> None:
    aliases = {field.alias for field in Objectives.model_fields.values()}
    assert aliases == set(ObjectiveName)
    assert set(ObjectiveName) > GUARDS


def test_every_knob_is_an_engine_setting() -> None:
    assert {field.alias for field in EngineSettings.model_fields.values()} == set(Knob)


def test_every_condition_has_reasons_and_every_reason_is_one_word() -> None:
    assert set(REASONS) == set(ConditionType)
    assert all(str(reason).isalpha() for reasons in REASONS.values() for reason in reasons)


def test_an_empty_node_tuning_is_valid_and_says_so_little_as_it_knows() -> None:
    tuning = NodeTuning.model_validate({"metadata": {"name": "node-1"}, "spec": {}})
    assert tuning.spec.engines == ()
    assert tuning.status.summary == "Unknown"
