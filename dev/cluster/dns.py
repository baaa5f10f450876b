"""Cluster DNS: CoreDNS as a Deployment and a Service at the address that the kubelet gives to pods."""

from __future__ import annotations

import hashlib
import json

from dev.cluster.network import host_nameservers
from dev.cluster.paths import CLUSTER_DOMAIN, DNS_ADDRESS, Paths
from dev.cluster.shell import run

_NAMESPACE = "kube-system"
_LABELS = {"k8s-app": "kube-dns"}


def corefile(upstream: list[str]) -> str:
    """CoreDNS's configuration; names outside the cluster go to the host's name servers where it has any."""
    forward = f"    forward . {' '.join(upstream)}\n" if upstream else ""
    return (
        ".:10053 {\n    errors\n    health :8081\n    ready :8181\n"
        f"    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{\n        ttl 5\n    }}\n"
        f"{forward}    cache 5\n    loop\n}}\n"
    )


def objects(image: str, upstream: list[str]) -> list[dict[str, object]]:
    """Every object of the cluster's DNS, in an order in which they can be applied."""
    meta = {"name": "coredns", "namespace": _NAMESPACE}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 10053},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 10053},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        *_rights(meta),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": corefile(upstream)}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": _NAMESPACE, "labels": _LABELS},
            "spec": {"clusterIP": DNS_ADDRESS, "selector": _LABELS, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": _deployment(image, corefile(upstream)),
        },
    ]


def _rights(meta: dict[str, str]) -> list[dict[str, object]]:
    """Describe what CoreDNS may read, and that its account may."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "trimtab-cluster:coredns"}
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": role["name"]}}
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    subjects = [{"kind": "ServiceAccount", **meta}]
    return [
        {**common, "kind": "ClusterRole", "rules": rules},
        {**common, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects},
    ]


def _deployment(image: str, configuration: str) -> dict[str, object]:
    container = {
        "name": "coredns",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": 10053, "protocol": "UDP"}, {"containerPort": 10053, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8081}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
        },
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
    # The hash restarts CoreDNS when its configuration changes.
    stamp = {"trimtab.dev/configuration": hashlib.sha256(configuration.encode()).hexdigest()[:16]}
    template = {"metadata": {"labels": _LABELS, "annotations": stamp}, "spec": pod}
    return {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}


def start(paths: Paths, image: str) -> None:
    """Apply the objects and wait until CoreDNS answers its readiness probe."""
    kubectl = [paths.kubectl, "--kubeconfig", paths.kubeconfig]
    document = {"apiVersion": "v1", "kind": "List", "items": objects(image, host_nameservers())}
    run([*kubectl, "apply", "--server-side", "--field-manager=trimtab-cluster", "-f", "-"], stdin=json.dumps(document))
    run([*kubectl, "-n", _NAMESPACE, "rollout", "status", "deployment/coredns", "--timeout=120s"], timeout_seconds=130)
