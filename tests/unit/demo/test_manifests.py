"""The manifests that the demo applies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.demo.errors import DemoError
from dev.demo.manifests import chart_values, image_parts, policy, prometheus, workload
from dev.demo.plan import DemoPlan
from dev.demo.readings import simulated, uuids
from trimtab_api import OptimizationPolicy

PLAN = DemoPlan()


def container_of(text: str) -> dict[str, Any]:
    deployment = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def test_the_workload_leaves_replicas_to_others_and_limits_its_cpu() -> None:
    text = workload(PLAN, "registry/engine:1")
    deployment = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")
    assert "replicas" not in deployment["spec"]
    container = container_of(text)
    assert container["image"] == "registry/engine:1"
    assert container["resources"]["limits"]["cpu"] == f"{PLAN.cpu_millicores}m"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_without_simulated_gpus_no_gpu_is_asked_for() -> None:
    resources = container_of(workload(DemoPlan(gpus=0), "registry/engine:1"))["resources"]
    assert set(resources["limits"]) == set(resources["requests"]) == {"cpu", "memory"}


def test_the_policy_is_one_that_the_api_knows_and_says_what_the_plan_says() -> None:
    document = yaml.safe_load(policy(PLAN))
    spec = OptimizationPolicy.model_validate(document).spec
    assert spec.scaling is not None
    assert spec.cost is not None
    assert spec.objectives is not None
    assert spec.objectives.latency is not None
    assert spec.mode == "Apply"
    assert (spec.scaling.min_replicas, spec.scaling.max_replicas) == (1, PLAN.max_replicas)
    assert str(spec.objectives.latency.max) == "500ms"
    assert float(str(spec.cost.per_gpu_hour)) == PLAN.prices.per_gpu_hour
    assert float(str(spec.cost.per_cpu_hour)) == PLAN.prices.per_cpu_hour


def test_prometheus_may_look_for_pods_and_nothing_else() -> None:
    documents = list(yaml.safe_load_all(prometheus("registry/prometheus:1")))
    (role,) = [each for each in documents if each["kind"] == "ClusterRole"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_the_agents_labels_are_kept_and_those_of_other_pods_are_set() -> None:
    documents = yaml.safe_load_all(prometheus("registry/prometheus:1"))
    (configuration,) = [each for each in documents if "prometheus.yml" in each.get("data", {})]
    jobs = {job["job_name"]: job for job in yaml.safe_load(configuration["data"]["prometheus.yml"])["scrape_configs"]}
    assert jobs["trimtab-agent"]["honor_labels"] is True
    assert "honor_labels" not in jobs["pods"]


def test_values_carry_the_image_and_the_simulated_library_only_where_there_is_one() -> None:
    values = chart_values("127.0.0.1:5055/trimtab/control:abc", {"podLogsDir": "/logs"}, Path("/state/gpus"))
    assert values["image"] == {"registry": "127.0.0.1:5055", "repository": "trimtab/control", "tag": "abc"}
    assert values["agent"]["podLogsDir"] == "/logs"
    assert values["agent"]["extraVolumes"][0]["hostPath"]["path"] == "/state/gpus"
    assert chart_values("a/b:c", {}, None)["agent"] == {}


@pytest.mark.parametrize("reference", ["trimtab/control", "control:1", "a/b:", "/b:c"])
def test_an_image_without_registry_or_tag_is_refused(reference: str) -> None:
    with pytest.raises(DemoError, match="registry/repository:tag"):
        image_parts(reference)


def test_simulated_gpus_say_what_they_are_and_show_the_engines_busy_time() -> None:
    busy, idle, over = simulated(3, {uuids(3)[0]: 0.5, uuids(3)[2]: 1.7})
    assert "simulated" in busy.uuid
    assert "Simulated" in busy.name
    assert busy.utilization_ratio == 0.5
    assert idle.utilization_ratio == 0.0
    assert over.utilization_ratio == 1.0
    assert idle.power_watts < busy.power_watts < over.power_watts
    assert idle.memory_used_bytes < busy.memory_used_bytes
