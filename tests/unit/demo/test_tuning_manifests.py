"""The manifests of the second act and of its controls."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dev.demo.controls.plan import CONTROLS
from dev.demo.plan import DemoPlan
from dev.demo.tuning.manifests import tuned_workload, tuning_policy
from dev.demo.tuning.plan import DEMO_BOUNDS, GOOD, POOR, TUNED, Bounds, Start, TuningPlan
from trimtab_api import OptimizationPolicy
from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY, PORT, SERVICE
from trimtab_engine.settings import AgentSettings, LiveSettings, read_settings


def pod_of(text: str) -> dict[str, Any]:
    deployment = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 2
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def environment_of(start: Start) -> dict[str, str]:
    (container,) = pod_of(tuned_workload(DemoPlan(), TuningPlan(), "registry/engine:1", start))["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


@pytest.mark.parametrize(
    ("start", "live"),
    [(POOR, LiveSettings(1, 0.0, 0)), (GOOD, LiveSettings(16, 0.005, 32 * 2**20))],
    ids=["poor", "good"],
)
def test_the_engine_itself_reads_the_start_that_the_plan_names(start: Start, live: LiveSettings) -> None:
    settings = read_settings(environment_of(start))
    assert settings.live == live
    assert settings.queue_limit_items == TuningPlan().queue_limit
    assert settings.agent == AgentSettings(f"{SERVICE}.trimtab-system.svc", PORT)


def test_the_pods_are_attached_by_a_token_for_the_agent_and_an_optional_authority() -> None:
    pod = pod_of(tuned_workload(DemoPlan(), TuningPlan(), "registry/engine:1", POOR))
    (volume,) = [each for each in pod["volumes"] if each["name"] == "trimtab"]
    token, trust = volume["projected"]["sources"]
    assert token["serviceAccountToken"] == {"audience": AUDIENCE, "expirationSeconds": 600, "path": "token"}
    assert trust["configMap"] == {
        "name": CA_CONFIG_MAP,
        "optional": True,
        "items": [{"key": CA_KEY, "path": CA_KEY}],
    }
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "trimtab"]
    assert mount == {"name": "trimtab", "mountPath": "/var/run/trimtab", "readOnly": True}


def test_a_replica_of_the_second_act_has_the_cpu_that_its_price_is_reckoned_with() -> None:
    plan = DemoPlan(cpu_millicores=400)
    (container,) = pod_of(tuned_workload(plan, TuningPlan(), "registry/engine:1", POOR))["containers"]
    assert container["resources"]["limits"]["cpu"] == "400m"


def test_without_simulated_gpus_no_gpu_is_asked_for_and_the_namespace_may_be_another() -> None:
    text = tuned_workload(DemoPlan(gpus=0), TuningPlan(), "registry/engine:1", POOR, "elsewhere")
    documents = list(yaml.safe_load_all(text))
    assert set(pod_of(text)["containers"][0]["resources"]["limits"]) == {"cpu", "memory"}
    assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in documents} == {"elsewhere"}


def test_the_policy_leaves_replicas_to_the_manifest_and_names_its_knobs_and_rules() -> None:
    spec = OptimizationPolicy.model_validate(yaml.safe_load(tuning_policy(DemoPlan(), Bounds()))).spec
    assert spec.scaling is None
    assert spec.target_ref.name == TUNED
    assert spec.mode == "Apply"
    assert spec.knobs is not None
    assert spec.knobs.batching is not None
    assert spec.knobs.batching.max_batch_size is not None
    assert (spec.knobs.batching.max_batch_size.min, spec.knobs.batching.max_batch_size.max) == (1, 16)
    assert spec.knobs.cache is not None
    assert spec.knobs.cache.memory is not None
    assert spec.knobs.cache.memory.max == "32Mi"
    assert (spec.trial.window, spec.trial.max_window, spec.trial.min_requests) == ("60s", "3m", 100)
    assert spec.trial.max_trials == 3
    assert spec.knobs.quantization is None
    assert spec.objectives is not None
    assert spec.objectives.accuracy_ratio is None


def test_the_demo_allows_a_format_with_the_agreement_that_its_answers_must_keep() -> None:
    spec = OptimizationPolicy.model_validate(yaml.safe_load(tuning_policy(DemoPlan(), DEMO_BOUNDS))).spec
    assert spec.knobs is not None
    assert spec.knobs.quantization is not None
    assert spec.knobs.quantization.allowed == ("Int8",)
    assert spec.knobs.batching is None
    assert spec.knobs.cache is not None
    assert spec.objectives is not None
    assert spec.objectives.accuracy_ratio is not None
    assert spec.objectives.accuracy_ratio.min == "0.98"


def test_no_control_waits_for_the_search_of_a_format() -> None:
    assert all(control.bounds is None or control.bounds.quality is None for control in CONTROLS)


def test_a_control_without_the_cache_knob_has_none_and_a_good_start_has_nothing_above_it() -> None:
    bounds = {control.name: control.bounds for control in CONTROLS}
    assert bounds["untouched"] is None
    assert bounds["without cache"] is not None
    assert bounds["good start"] is not None
    knobs = OptimizationPolicy.model_validate(
        yaml.safe_load(tuning_policy(DemoPlan(), bounds["without cache"]))
    ).spec.knobs
    assert knobs is not None
    assert knobs.cache is None
    good = bounds["good start"]
    assert (good.max_batch_size, good.max_queue_delay, good.cache) == (
        GOOD.max_batch_size,
        GOOD.max_queue_delay,
        GOOD.cache_bytes,
    )
    assert good.max_trials == 2
