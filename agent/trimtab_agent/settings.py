"""Process settings of the agent, read once from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab_api.wire import PORT

CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it, its value and what would be accepted."""


@dataclass(frozen=True)
class Settings:
    """Each field stands for the environment variable named beside it."""

    node: str
    """NODE_NAME: the node's name, for the label of trimtab_agent_node_build and the name of its NodeTuning."""
    namespace: str
    """POD_NAMESPACE: where the agents' Service is; its name there is in the serving certificate."""
    port: int
    """TRIMTAB_PORT, default 9101."""
    engine_port: int
    """TRIMTAB_ENGINE_PORT, default 9443: where engines ask for their settings; 0 is a free port."""
    api_server: str
    """TRIMTAB_API_SERVER, default https://KUBERNETES_SERVICE_HOST:KUBERNETES_SERVICE_PORT; empty outside a cluster."""
    api_token_file: Path
    """TRIMTAB_API_TOKEN_FILE, default where a pod's token is mounted. Absent: engines are not served."""
    api_ca_file: Path
    """TRIMTAB_API_CA_FILE, default beside the token: who signs the API server's certificate."""
    cgroup_root: Path
    """TRIMTAB_CGROUP_ROOT, default /host/sys/fs/cgroup."""
    proc_root: Path
    """TRIMTAB_PROC_ROOT, default /host/proc: container names and pod network. Absent: neither is exported."""
    pod_logs: Path
    """TRIMTAB_POD_LOGS_DIR, default /host/var/log/pods: names of pods without API rights."""
    pod_resources_socket: Path
    """TRIMTAB_POD_RESOURCES_SOCKET, default /host/pod-resources/kubelet.sock."""
    interval_seconds: float
    """TRIMTAB_INTERVAL_SECONDS, default 5, at least 0.1: between two collections. Fresh for every 15 s scrape."""
    log_level: str
    """TRIMTAB_LOG_LEVEL, default info."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from the environment. Raises SettingsError."""
    level = environment.get("TRIMTAB_LOG_LEVEL", "info").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError(f"TRIMTAB_LOG_LEVEL is {level!r}: debug, info, warning or error is accepted")
    return Settings(
        node=environment.get("NODE_NAME", ""),
        namespace=environment.get("POD_NAMESPACE", ""),
        port=int(_number(environment, "TRIMTAB_PORT", 9101, 0, 65535)),
        engine_port=int(_number(environment, "TRIMTAB_ENGINE_PORT", PORT, 0, 65535)),
        api_server=environment.get("TRIMTAB_API_SERVER", "").rstrip("/") or _own_cluster(environment),
        api_token_file=Path(environment.get("TRIMTAB_API_TOKEN_FILE", f"{CREDENTIALS}/token")),
        api_ca_file=Path(environment.get("TRIMTAB_API_CA_FILE", f"{CREDENTIALS}/ca.crt")),
        cgroup_root=Path(environment.get("TRIMTAB_CGROUP_ROOT", "/host/sys/fs/cgroup")),
        proc_root=Path(environment.get("TRIMTAB_PROC_ROOT", "/host/proc")),
        pod_logs=Path(environment.get("TRIMTAB_POD_LOGS_DIR", "/host/var/log/pods")),
        pod_resources_socket=Path(environment.get("TRIMTAB_POD_RESOURCES_SOCKET", "/host/pod-resources/kubelet.sock")),
        interval_seconds=_number(environment, "TRIMTAB_INTERVAL_SECONDS", 5, 0.1, 300),
        log_level=level,
    )


def _own_cluster(environment: Mapping[str, str]) -> str:
    """Address of the API server as a pod is told it; an IPv6 address goes in brackets."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _number(environment: Mapping[str, str], name: str, default: float, lowest: float, highest: float) -> float:
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise SettingsError(f"{name} is {text!r}: a number from {lowest:g} to {highest:g} is accepted")
    return value
