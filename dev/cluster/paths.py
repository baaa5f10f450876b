"""Where everything of the cluster lives, its ports and its addresses: the only file that knows them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

NODE_NAME = "trimtab-node"
BRIDGE = "trimtab0"
BRIDGE_ADDRESS = "10.244.0.1"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"

# None of these is a Kubernetes default, so that they meet nothing that a user may run already,
# and all are below 32768, where the kernel starts to hand out ports of its own.
API_PORT = 16443
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
CONTROLLERS_PORT = 20257
SCHEDULER_PORT = 20259
KUBELET_PORT = 20250
KUBELET_HEALTH_PORT = 20248
PROXY_HEALTH_PORT = 20256
PROXY_METRICS_PORT = 20249
REGISTRY_PORT = 5055

API_URL = f"https://127.0.0.1:{API_PORT}"
REGISTRY = f"127.0.0.1:{REGISTRY_PORT}"

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Paths:
    """The two roots that the cluster writes below, and the names inside them."""

    cache: Path
    state: Path
    # The cgroup above every pod. A second cluster, in a network namespace of its own, has its own state and cgroup.
    cgroup: str

    @property
    def lock(self) -> Path:
        """Beside the state, not inside it: `down` removes the state while it holds the lock."""
        return self.state.with_name(self.state.name + ".lock")

    @property
    def processes(self) -> Path:
        return self.state / "processes"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def configuration(self) -> Path:
        return self.state / "configuration"

    @property
    def certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.state / "audit.log"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.containerd / "run" / "containerd.sock"

    @property
    def network(self) -> Path:
        """What the host looked like before we changed it, written before the first change."""
        return self.state / "network.json"

    @property
    def mount_points(self) -> Path:
        """Names of system directories that we had to create, empty, as mount points."""
        return self.state / "mount-points.json"

    @property
    def images(self) -> Path:
        return self.state / "images.json"

    @property
    def tools(self) -> Path:
        """A directory for PATH: kubectl and helm as built last."""
        return self.cache / "tools"

    @property
    def kubectl(self) -> Path:
        return self.tools / "kubectl"

    @property
    def registry_storage(self) -> Path:
        return self.cache / "registry"

    @property
    def buildah(self) -> Path:
        return self.cache / "buildah"


def default_paths() -> Paths:
    """Read TRIMTAB_CACHE and TRIMTAB_STATE, with the places below the home directory as defaults."""
    cache = Path(os.environ.get("TRIMTAB_CACHE") or Path.home() / ".cache" / "trimtab")
    state = Path(os.environ.get("TRIMTAB_STATE") or _usual_state()).resolve()
    return Paths(cache=cache.resolve(), state=state, cgroup=cgroup_of(state))


def cgroup_of(state: Path) -> str:
    """Name the cgroup of the cluster with this state directory: clusters beside each other share none."""
    if state == _usual_state().resolve():
        return "trimtab"
    return "trimtab-" + hashlib.sha256(str(state).encode()).hexdigest()[:8]


def _usual_state() -> Path:
    return Path.home() / ".local" / "state" / "trimtab" / "cluster"
