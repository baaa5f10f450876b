"""What the chart makes of its values: facts about the objects, never a stored copy of the text."""

from __future__ import annotations

import textwrap
from typing import Any, Protocol

import kubernetes_validate
import pytest
import yaml
from harness.chart import CHART, MONITORING, Chart, Rendered

from trimtab_api import wire

OPERATOR = "Deployment/trimtab-operator"
AGENT = "DaemonSet/trimtab-agent"
MUTATING = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
VALIDATING = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


class ApiServer(Protocol):
    """What the shared fixture offers."""

    def kubectl(self, *args: str, input: str | None = None) -> str: ...  # noqa: A002


FULL: dict[str, Any] = {
    "image": {"registry": "registry.example:5000", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "pull"}],
    "prometheus": {
        "url": "https://metrics.example/prometheus",
        "auth": {"basic": {"secretName": "prometheus-login"}},
        "caBundle": {"inline": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        "tenantHeader": {"name": "X-Scope-OrgID", "value": "team-a"},
    },
    "labels": {"namespace": "exported_namespace", "pod": "exported_pod"},
    "scrapeIntervalSeconds": 15,
    "watchNamespaces": ["prod", "staging"],
    "maxMode": "Recommend",
    "logLevel": "debug",
    "operator": {
        "replicas": 3,
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"team": "a"},
        "podLabels": {"cost": "b"},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    },
    "agent": {
        "runtimeClassName": "nvidia",
        "priorityClassName": "system-node-critical",
        "affinity": {"nodeAffinity": {}},
        "podAnnotations": {"team": "a"},
        "podLabels": {"cost": "b"},
        "extraEnv": [{"name": "LD_LIBRARY_PATH", "value": "/opt/driver"}],
        "extraVolumes": [{"name": "driver", "hostPath": {"path": "/usr/lib/nvidia"}}],
        "extraVolumeMounts": [{"name": "driver", "mountPath": "/opt/driver", "readOnly": True}],
    },
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    },
    "metrics": {
        "scrapeAnnotations": True,
        "podMonitor": {"enabled": True, "labels": {"release": "monitoring"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "monitoring"}},
        "dashboard": {"enabled": True},
    },
}
BEARER = {
    "prometheus": {
        "url": "https://metrics.example",
        "auth": {"bearer": {"secretName": "prometheus-token", "tokenKey": "jwt"}},
        "caBundle": {"configMapName": "company-ca", "key": "bundle.pem"},
    }
}
MATRIX = [
    pytest.param({}, "1.29.0", (), id="defaults on the oldest server"),
    pytest.param({}, "1.36.3", (MUTATING, VALIDATING), id="defaults on the newest server"),
    pytest.param(FULL, "1.36.3", (*MONITORING, MUTATING, VALIDATING), id="everything"),
    pytest.param({}, "1.30.0", (VALIDATING,), id="the oldest server with validating policies"),
    pytest.param(FULL, "1.29.0", MONITORING, id="everything on the oldest server"),
    pytest.param(BEARER, "1.33.0", (), id="bearer token and a company CA"),
    pytest.param({"agent": {"enabled": False}}, "1.36.3", (VALIDATING,), id="without the agent"),
    pytest.param({"networkPolicy": {"enabled": False}}, "1.36.3", (), id="without network policies"),
    pytest.param({"operator": {"replicas": 1}}, "1.36.3", (), id="one replica"),
    pytest.param({"crds": {"install": False}, "rbac": {"userRoles": False}}, "1.36.3", (), id="a second release"),
    pytest.param({"image": {"digest": "sha256:" + "a" * 64}}, "1.36.3", (), id="an image by digest"),
]
WITHOUT_SCHEMA = {"PodMonitor", "PrometheusRule", "CustomResourceDefinition"}


@pytest.mark.parametrize(("values", "kube_version", "api_versions"), MATRIX)
def test_every_rendered_object_is_valid_for_its_server(
    chart: Chart, values: dict[str, Any], kube_version: str, api_versions: tuple[str, ...]
) -> None:
    rendered = chart.render(values, kube_version=kube_version, api_versions=api_versions)
    minor = kube_version.rpartition(".")[0]
    for entry in rendered.objects:
        if entry["kind"] not in WITHOUT_SCHEMA:
            judged_by = kubernetes_validate.validate(entry, minor, strict=True)  # raises on what is not valid
            assert judged_by == minor, Rendered.key(entry)


@pytest.mark.parametrize(("values", "kube_version", "api_versions"), MATRIX)
def test_the_chart_passes_the_strict_linter(
    chart: Chart, values: dict[str, Any], kube_version: str, api_versions: tuple[str, ...]
) -> None:
    del api_versions  # the linter has no such option; what needs a kind only warns there
    done = chart.run("lint", "--strict", "--kube-version", kube_version, str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("values", "kube_version", "api_versions"), MATRIX)
def test_no_two_objects_have_the_same_name_and_each_says_whose_it_is(
    chart: Chart, values: dict[str, Any], kube_version: str, api_versions: tuple[str, ...]
) -> None:
    rendered = chart.render(values, kube_version=kube_version, api_versions=api_versions)
    keys = [(Rendered.key(entry), entry["metadata"].get("namespace")) for entry in rendered.objects]
    assert len(keys) == len(set(keys))
    for entry in rendered.objects:
        if entry["kind"] != "CustomResourceDefinition":
            assert entry["metadata"]["labels"]["app.kubernetes.io/name"] == "trimtab", Rendered.key(entry)


@pytest.mark.parametrize("workload", [OPERATOR, AGENT, "Pod/trimtab-check-install"])
def test_every_container_is_denied_what_it_does_not_need(chart: Chart, workload: str) -> None:
    rendered = chart.render()
    spec = rendered["Pod/trimtab-check-install"]["spec"] if workload.startswith("Pod/") else rendered.pod(workload)
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["privileged"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC"))


@pytest.mark.parametrize("workload", [OPERATOR, AGENT, "Pod/trimtab-check-install"])
def test_a_namespace_with_a_resource_quota_admits_every_container(chart: Chart, workload: str) -> None:
    rendered = chart.render()
    spec = rendered["Pod/trimtab-check-install"]["spec"] if workload.startswith("Pod/") else rendered.pod(workload)
    for container in spec["containers"]:
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_the_operator_fits_the_restricted_pod_security_level(chart: Chart) -> None:
    spec = chart.render(FULL, api_versions=MONITORING).pod(OPERATOR)
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    allowed = {"configMap", "emptyDir", "secret", "projected", "downwardAPI"}
    assert {key for volume in spec["volumes"] for key in volume if key != "name"} <= allowed
    assert not any("hostPort" in port for container in spec["containers"] for port in container["ports"])


def test_two_operators_wait_on_different_nodes_and_one_survives_a_drain(chart: Chart) -> None:
    rendered = chart.render()
    deployment = rendered[OPERATOR]["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    budget = rendered["PodDisruptionBudget/trimtab-operator"]["spec"]
    assert budget["minAvailable"] == 1
    pods = deployment["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= pods.items()
    assert spread["labelSelector"]["matchLabels"].items() <= pods.items()


def test_a_single_operator_has_no_budget_that_would_block_a_drain(chart: Chart) -> None:
    assert "PodDisruptionBudget/trimtab-operator" not in chart.render({"operator": {"replicas": 1}})


@pytest.mark.parametrize(
    ("workload", "ports"), [(OPERATOR, {"metrics": 9102}), (AGENT, {"metrics": 9101, "engines": wire.PORT})]
)
def test_probes_ask_the_documented_paths_on_the_documented_port(
    chart: Chart, workload: str, ports: dict[str, int]
) -> None:
    container = chart.render().container(workload)
    assert {entry["name"]: entry["containerPort"] for entry in container["ports"]} == ports
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_the_programs_get_tokens_and_nothing_else_that_uses_their_accounts(chart: Chart) -> None:
    rendered = chart.render()
    assert rendered.pod(OPERATOR)["automountServiceAccountToken"] is True
    assert rendered.pod(AGENT)["automountServiceAccountToken"] is True
    for account in rendered.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_the_agent_sees_the_node_read_only(chart: Chart) -> None:
    rendered = chart.render()
    mounts = {entry["mountPath"]: entry for entry in rendered.container(AGENT)["volumeMounts"]}
    assert set(mounts) == {"/host/sys/fs/cgroup", "/host/proc", "/host/var/log/pods", "/host/pod-resources"}
    assert all(entry["readOnly"] is True for entry in mounts.values())
    assert all(entry["recursiveReadOnly"] == "IfPossible" for entry in mounts.values())
    assert rendered.container(AGENT)["securityContext"]["runAsUser"] == 0


def test_recursive_read_only_is_left_out_where_the_server_does_not_know_it(chart: Chart) -> None:
    mounts = chart.render(kube_version="1.32.9").container(AGENT)["volumeMounts"]
    assert not any("recursiveReadOnly" in entry for entry in mounts)


def test_the_host_paths_of_the_agent_follow_the_values(chart: Chart) -> None:
    agent = {
        "cgroupRoot": "/a", "procRoot": "/b", "podLogsDir": "/c", "podResourcesDir": "/d",
        "extraVolumes": [{"name": "driver", "hostPath": {"path": "/e"}}],
        "extraVolumeMounts": [{"name": "driver", "mountPath": "/opt/driver"}],
    }  # fmt: skip
    rendered = chart.render({"agent": agent})
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in rendered.pod(AGENT)["volumes"]}
    assert paths == {"cgroup": "/a", "proc": "/b", "pod-logs": "/c", "pod-resources": "/d", "driver": "/e"}
    assert {"name": "driver", "mountPath": "/opt/driver"} in rendered.container(AGENT)["volumeMounts"]


def test_the_agent_runs_on_gpu_nodes_and_asks_for_no_gpu(chart: Chart) -> None:
    rendered = chart.render({"agent": {"runtimeClassName": "nvidia"}})
    spec = rendered.pod(AGENT)
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["runtimeClassName"] == "nvidia"
    container = rendered.container(AGENT)
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert rendered.environment(AGENT)["NVIDIA_DRIVER_CAPABILITIES"] == "utility"


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "trimtab/control:0.1.0", id="defaults"),
        pytest.param({"registry": "r.example:5000", "tag": "abc"}, "r.example:5000/trimtab/control:abc", id="registry"),
        pytest.param({"registry": "r.example/team/", "tag": "x"}, "r.example/team/trimtab/control:x", id="slash"),
        pytest.param(
            {"tag": "x", "digest": "sha256:" + "b" * 64}, "trimtab/control@sha256:" + "b" * 64, id="digest wins"
        ),
    ],
)
def test_the_image_reference_is_put_together(chart: Chart, image: dict[str, str], reference: str) -> None:
    rendered = chart.render({"image": image})
    assert rendered.container(OPERATOR)["image"] == reference
    assert rendered.container(AGENT)["image"] == reference


def test_placement_values_reach_the_pods_that_they_name(chart: Chart) -> None:
    rendered = chart.render(FULL, api_versions=MONITORING)
    operator, agent = rendered.pod(OPERATOR), rendered.pod(AGENT)
    assert operator["priorityClassName"] == "system-cluster-critical"
    assert agent["priorityClassName"] == "system-node-critical"
    assert operator["tolerations"] == [{"key": "infra", "operator": "Exists"}]
    assert operator["imagePullSecrets"] == agent["imagePullSecrets"] == [{"name": "pull"}]
    for workload in (OPERATOR, AGENT):
        metadata = rendered[workload]["spec"]["template"]["metadata"]
        assert metadata["annotations"]["team"] == "a"
        assert metadata["labels"]["cost"] == "b"
    assert rendered.environment(OPERATOR)["HTTPS_PROXY"] == "http://proxy:3128"
    assert rendered.environment(AGENT)["LD_LIBRARY_PATH"] == "/opt/driver"


def test_scrape_annotations_name_the_port_of_each_pod(chart: Chart) -> None:
    rendered = chart.render({"metrics": {"scrapeAnnotations": True}})
    for workload, port in ((OPERATOR, "9102"), (AGENT, "9101")):
        annotations = rendered[workload]["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert annotations["prometheus.io/port"] == port
        assert annotations["prometheus.io/path"] == "/metrics"
    assert "prometheus.io/scrape" not in chart.render()[OPERATOR]["spec"]["template"]["metadata"]["annotations"]


def test_the_pod_monitor_keeps_the_labels_of_the_metrics_and_selects_both_pods(chart: Chart) -> None:
    rendered = chart.render(FULL, api_versions=MONITORING)
    spec = rendered["PodMonitor/trimtab"]["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] == "metrics"
    assert rendered["PodMonitor/trimtab"]["metadata"]["labels"]["release"] == "monitoring"
    for workload in (OPERATOR, AGENT):
        labels = rendered[workload]["spec"]["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        assert labels["app.kubernetes.io/component"] in spec["selector"]["matchExpressions"][0]["values"]


def test_the_service_leads_to_operators_that_are_not_ready_too(chart: Chart) -> None:
    rendered = chart.render()
    service = rendered["Service/trimtab-operator"]["spec"]
    assert service["publishNotReadyAddresses"] is True
    labels = rendered[OPERATOR]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert service["selector"]["app.kubernetes.io/component"] == "operator"


def test_engines_reach_the_agent_of_their_own_node_by_the_name_that_both_programs_know(chart: Chart) -> None:
    rendered = chart.render()
    service = rendered[f"Service/{wire.SERVICE}"]["spec"]
    assert service["internalTrafficPolicy"] == "Local"
    (port,) = service["ports"]
    assert (port["port"], port["targetPort"]) == (wire.PORT, "engines")
    labels = rendered[AGENT]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert service["selector"]["app.kubernetes.io/component"] == "agent"
    assert rendered.environment(AGENT)["TRIMTAB_ENGINE_PORT"] == str(wire.PORT)
    assert f"Service/{wire.SERVICE}" not in chart.render({"agent": {"enabled": False}})


def test_a_second_release_shares_no_cluster_wide_name_with_the_first(chart: Chart) -> None:
    policies = ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy")
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", *policies, *(f"{kind}Binding" for kind in policies)}
    versions = (MUTATING, VALIDATING)
    first = chart.render({"watchNamespaces": ["a"]}, namespace="one", api_versions=versions)
    values = {"watchNamespaces": ["b"], "rbac": {"userRoles": False}}
    second = chart.render(values, namespace="two", api_versions=versions)
    names = [{Rendered.key(entry) for entry in rendered.of(*cluster_wide)} for rendered in (first, second)]
    assert names[0].isdisjoint(names[1])


def test_the_notes_say_what_to_do_next(chart: Chart) -> None:
    done = chart.run("install", "trimtab", str(CHART), "-n", "trimtab-system", "--dry-run=client")
    assert done.returncode == 0, done.stderr
    for sentence in (
        "kubectl get optpol -A",
        "rollout status deployment/trimtab-operator",
        "helm test trimtab -n trimtab-system",
        '{"data":{"maxMode":"Recommend"}}',
        "pod-security.kubernetes.io/enforce=privileged",
        "honor_labels: true",
        f"https://trimtab-agent.trimtab-system.svc:{wire.PORT}",
        "EngineAttached",
    ):
        assert sentence in done.stdout


def test_the_policy_in_the_notes_is_accepted_by_the_api_server(chart: Chart, api_server: ApiServer) -> None:
    done = chart.run("install", "trimtab", str(CHART), "-n", "trimtab-system", "--dry-run=client")
    shown = done.stdout.partition("<<'POLICY'\n")[2].partition("     POLICY\n")[0]
    policy = yaml.safe_load(textwrap.dedent(shown))
    policy["metadata"]["namespace"] = "default"
    said = api_server.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump(policy)
    )
    assert "serverside-applied" in said
