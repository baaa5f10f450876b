"""etcd, API server, controller manager and scheduler: their command lines, and starting them in order."""

from __future__ import annotations

import json
from pathlib import Path

from dev.cluster import audit
from dev.cluster.binaries import Binaries
from dev.cluster.certificates import certificate, key, kubeconfig, public_key
from dev.cluster.paths import (
    API_PORT,
    API_URL,
    BRIDGE_ADDRESS,
    CONTROLLERS_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    POD_CIDR,
    SCHEDULER_PORT,
    SERVICE_CIDR,
    Paths,
)
from dev.cluster.processes import Program, ensure_running, wait_ready
from dev.cluster.shell import succeeds

ETCD_URL = f"https://127.0.0.1:{ETCD_PORT}"
NAMES = ("etcd", "apiserver", "controllers", "scheduler")


def etcd(paths: Paths, binaries: Binaries) -> Program:
    """Describe the store. It does not wait for the disk: a power cut may cost a development cluster its data."""
    flags = [
        "--name=trimtab",
        f"--data-dir={paths.etcd}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        f"--listen-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}",
        f"--initial-cluster=trimtab=http://127.0.0.1:{ETCD_PEER_PORT}",
        f"--cert-file={certificate(paths, 'etcd')}",
        f"--key-file={key(paths, 'etcd')}",
        f"--trusted-ca-file={certificate(paths, 'ca')}",
        "--client-cert-auth=true",
        "--unsafe-no-fsync=true",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
    ]
    return Program("etcd", (str(binaries.etcd / "server"), *flags))


def apiserver(paths: Paths, binaries: Binaries) -> Program:
    """Describe the API server; the front proxy's authority is the cluster's own, so its name must be given."""
    policy = paths.configuration / "audit-policy.json"
    authority = certificate(paths, "ca")
    flags = [
        "--bind-address=0.0.0.0",
        f"--advertise-address={BRIDGE_ADDRESS}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers={ETCD_URL}",
        f"--etcd-cafile={authority}",
        f"--etcd-certfile={certificate(paths, 'etcd-client')}",
        f"--etcd-keyfile={key(paths, 'etcd-client')}",
        f"--client-ca-file={authority}",
        f"--tls-cert-file={certificate(paths, 'apiserver')}",
        f"--tls-private-key-file={key(paths, 'apiserver')}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public_key(paths)}",
        f"--service-account-signing-key-file={key(paths, 'service-accounts')}",
        *_front_proxy(paths),
        f"--kubelet-certificate-authority={authority}",
        f"--kubelet-client-certificate={certificate(paths, 'apiserver-kubelet-client')}",
        f"--kubelet-client-key={key(paths, 'apiserver-kubelet-client')}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={paths.audit_log}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=2000",
        "--profiling=false",
    ]
    return Program(
        "apiserver",
        (str(binaries.kubernetes / "kube-apiserver"), *flags),
        inputs=(policy, certificate(paths, "apiserver")),
    )


def _front_proxy(paths: Paths) -> list[str]:
    """List the flags by which aggregated API servers know who asks."""
    return [
        f"--requestheader-client-ca-file={certificate(paths, 'ca')}",
        "--requestheader-allowed-names=front",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificate(paths, 'front')}",
        f"--proxy-client-key-file={key(paths, 'front')}",
    ]


def controllers(paths: Paths, binaries: Binaries) -> Program:
    """Describe the controller manager, with the keys to sign certificate requests and service account tokens."""
    own = kubeconfig(paths, "controllers")
    flags = [
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        f"--secure-port={CONTROLLERS_PORT}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={key(paths, 'service-accounts')}",
        f"--root-ca-file={certificate(paths, 'ca')}",
        f"--cluster-signing-cert-file={certificate(paths, 'ca')}",
        f"--cluster-signing-key-file={key(paths, 'ca')}",
        f"--cluster-cidr={POD_CIDR}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--allocate-node-cidrs=false",
        "--profiling=false",
    ]
    return Program("controllers", (str(binaries.kubernetes / "kube-controller-manager"), *flags), inputs=(own,))


def scheduler(paths: Paths, binaries: Binaries) -> Program:
    """Describe the scheduler."""
    own = kubeconfig(paths, "scheduler")
    flags = [
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        f"--secure-port={SCHEDULER_PORT}",
        "--profiling=false",
    ]
    return Program("scheduler", (str(binaries.kubernetes / "kube-scheduler"), *flags), inputs=(own,))


def write_configuration(path: Path, document: object) -> None:
    """Write a document as JSON, which is YAML, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(path)


def api_ready(paths: Paths) -> bool:
    """Whether the API server says that it is ready."""
    command = [paths.kubectl, "--kubeconfig", paths.kubeconfig, "get", "--raw", "/readyz"]
    return succeeds(command, timeout_seconds=10)


def start(paths: Paths, binaries: Binaries) -> None:
    """Start what does not run, each after what it needs; returns when the API server is ready."""
    write_configuration(paths.configuration / "audit-policy.json", audit.policy())
    paths.etcd.mkdir(parents=True, exist_ok=True, mode=0o700)
    ensure_running(paths, etcd(paths, binaries))
    ensure_running(paths, apiserver(paths, binaries))
    wait_ready(paths, "apiserver", lambda: api_ready(paths), timeout_seconds=90)
    ensure_running(paths, controllers(paths, binaries))
    ensure_running(paths, scheduler(paths, binaries))


def api_words(ready: bool) -> str:
    """Say the state of the API server in words, for `status`."""
    return f"ready at {API_URL}" if ready else f"does not answer at {API_URL}"
