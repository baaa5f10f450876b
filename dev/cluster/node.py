"""The one node: containerd, kubelet and kube-proxy, their configuration, and starting them in order."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.cluster import cgroups, namespace
from dev.cluster.binaries import Binaries
from dev.cluster.certificates import certificate, key, kubeconfig
from dev.cluster.control_plane import write_configuration
from dev.cluster.errors import ClusterError
from dev.cluster.network import host_nameservers
from dev.cluster.paths import (
    BRIDGE,
    BRIDGE_ADDRESS,
    CLUSTER_DOMAIN,
    DNS_ADDRESS,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    NODE_NAME,
    POD_CIDR,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    REGISTRY,
    Paths,
)
from dev.cluster.processes import Program, ensure_running, running, wait_ready
from dev.cluster.shell import run, succeeds, wait_until

NAMES = ("mounts", "containerd", "kubelet", "proxy")
PLUGINS = Path("/usr/lib/cni")


def containerd_configuration(paths: Paths, pause: str) -> str:
    """Write the configuration of containerd (TOML): private directories, and our registry without TLS."""
    return f"""\
version = 2
root = "{paths.containerd}/root"
state = "{paths.containerd}/run"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{paths.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{paths.containerd}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  max_concurrent_downloads = 6

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{paths.state}/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{paths.state}/registries"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def network_configuration(paths: Paths) -> dict[str, object]:
    """Describe the chain of network plugins; masquerading is a rule of ours, so the plugins make no chains for it."""
    return {
        "cniVersion": "0.4.0",
        "name": "trimtab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": f"{paths.state}/cni/addresses",
                    "ranges": [[{"subnet": POD_CIDR, "rangeStart": "10.244.0.10", "gateway": BRIDGE_ADDRESS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def kubelet_configuration(paths: Paths) -> dict[str, object]:
    """Describe the kubelet's configuration; the feature gate forgives settings that small machines do not allow."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": BRIDGE_ADDRESS,
        "port": KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        **_kubelet_access(paths),
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{paths.cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(paths.configuration / "resolv.conf"),
        "podLogsDir": str(paths.pod_logs),
        "containerLogMaxSize": "20Mi",
        "containerLogMaxFiles": 2,
        "volumePluginDir": str(paths.kubelet / "volume-plugins"),
        "maxPods": 60,
        "registerNode": True,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "syncFrequency": "20s",
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        "maxParallelImagePulls": 4,
        "shutdownGracePeriod": "0s",
    }


def _kubelet_access(paths: Paths) -> dict[str, object]:
    """Who may speak to the kubelet, and with which certificate it answers."""
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificate(paths, "ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate(paths, "kubelet")),
        "tlsPrivateKeyFile": str(key(paths, "kubelet")),
    }


def proxy_configuration(paths: Paths) -> dict[str, object]:
    """kube-proxy's configuration; zeros leave the host's connection tracking as it is."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig(paths, "proxy"))},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE_NAME,
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        "nodePortAddresses": [POD_CIDR],
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "0s", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _write_all(paths: Paths, pause: str) -> None:
    configuration = paths.configuration
    configuration.mkdir(parents=True, exist_ok=True)
    (configuration / "containerd.toml").write_text(containerd_configuration(paths, pause))
    servers = "".join(f"nameserver {server}\n" for server in host_nameservers())
    (configuration / "resolv.conf").write_text(servers)
    write_configuration(configuration / "kubelet.json", kubelet_configuration(paths))
    write_configuration(configuration / "proxy.json", proxy_configuration(paths))
    write_configuration(paths.state / "cni" / "net.d" / "10-trimtab.conflist", network_configuration(paths))
    hosts = paths.state / "registries" / REGISTRY
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(
        f'server = "http://{REGISTRY}"\n\n[host."http://{REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n'
    )


def start(paths: Paths, binaries: Binaries, pause: str) -> None:
    """Start what does not run; returns when the node is Ready. `pause` is the image of pod sandboxes."""
    _write_all(paths, pause)
    for directory in (paths.kubelet, paths.pod_logs):
        directory.mkdir(parents=True, exist_ok=True)
    cgroups.ensure_cgroup(paths.cgroup)
    namespace.ensure_namespace(paths)
    if running(paths, "containerd") is None and not namespace.shim_records(paths):
        # Nothing survived that this directory could speak of, for instance after a reboot.
        shutil.rmtree(paths.containerd / "run", ignore_errors=True)
    _start_containerd(paths)
    _start_kubelet(paths, binaries)
    proxy = paths.configuration / "proxy.json"
    ensure_running(
        paths,
        Program(
            "proxy",
            (str(binaries.kubernetes / "kube-proxy"), f"--config={proxy}"),
            inputs=(proxy, kubeconfig(paths, "proxy")),
        ),
    )
    wait_until(lambda: is_ready(paths), what=f"node {NODE_NAME} Ready", timeout_seconds=120)


def _start_containerd(paths: Paths) -> None:
    file = paths.configuration / "containerd.toml"
    command = namespace.inside(paths, "/usr/bin/containerd", "--config", file, "--log-level", "warn")
    ensure_running(paths, Program("containerd", command, inputs=(file,)))
    wait_ready(paths, "containerd", lambda: succeeds([*ctr(paths), "version"]), timeout_seconds=30)


def _start_kubelet(paths: Paths, binaries: Binaries) -> None:
    file = paths.configuration / "kubelet.json"
    own = kubeconfig(paths, "kubelet")
    flags = [
        f"--config={file}",
        f"--kubeconfig={own}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={BRIDGE_ADDRESS}",
        f"--root-dir={paths.kubelet}",
        f"--cert-dir={paths.kubelet}/certificates",
    ]
    command = namespace.inside(paths, binaries.kubernetes / "kubelet", *flags)
    ensure_running(paths, Program("kubelet", command, inputs=(file, own)))


def ctr(paths: Paths) -> list[str]:
    """Return the containerd client, aimed at our socket and the namespace of Kubernetes."""
    return ["ctr", "--address", str(paths.containerd_socket), "--namespace", "k8s.io"]


def _get_node(paths: Paths, query: str) -> str:
    """One JSON path of the node; empty when the API server does not give it."""
    command = [paths.kubectl, "--kubeconfig", paths.kubeconfig, "get", "node", NODE_NAME]
    try:
        return run([*command, "-o", f"jsonpath={query}"], timeout_seconds=10).strip()
    except ClusterError:
        return ""


def is_ready(paths: Paths) -> bool:
    """Whether the node reports Ready."""
    return _get_node(paths, '{.status.conditions[?(@.type=="Ready")].status}') == "True"


def versions(paths: Paths) -> str:
    """Versions of kubelet and container runtime as the node reports them."""
    return _get_node(paths, "{.status.nodeInfo.kubeletVersion} {.status.nodeInfo.containerRuntimeVersion}")
