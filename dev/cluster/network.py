"""The bridge that pods hang on, the kernel settings that they need, and how the host gets back what it had."""

from __future__ import annotations

import json
from pathlib import Path

from dev.cluster import packet_filter
from dev.cluster.errors import ClusterError
from dev.cluster.paths import BRIDGE, BRIDGE_ADDRESS, POD_CIDR, SERVICE_CIDR, Paths
from dev.cluster.shell import run, succeeds

SYSCTL = Path("/proc/sys")
# Traffic between pods of one bridge must pass the packet filter: answers of a Service come back through it.
SETTINGS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}


def ensure_network(paths: Paths) -> None:
    """Bridge, kernel settings and our chains.

    Raises ClusterError when another Kubernetes works on this host's packet filter, or the addresses are taken.
    """
    if not paths.network.exists():
        _refuse_neighbours()
        _remember(paths)
    for name, value in SETTINGS.items():
        if (SYSCTL / name).read_text().strip() != value:
            (SYSCTL / name).write_text(value)
    if not _bridge_exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "replace", f"{BRIDGE_ADDRESS}/{POD_CIDR.rsplit('/', 1)[1]}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    # The host itself reaches Services also where it has no default route; the route goes when the bridge goes.
    run(["ip", "route", "replace", SERVICE_CIDR, "dev", BRIDGE])
    packet_filter.apply_rules()


def _refuse_neighbours() -> None:
    if packet_filter.foreign_kubernetes():
        raise ClusterError(
            "this host's packet filter holds KUBE- chains of another Kubernetes, which would fight with ours: "
            "use that cluster instead (CLUSTER=current), or remove it first"
        )
    for network in (POD_CIDR, SERVICE_CIDR):
        routes = json.loads(run(["ip", "-j", "-4", "route", "show", "root", network]) or "[]")
        taken = [route["dst"] for route in routes if route.get("dev") != BRIDGE]
        if taken:
            raise ClusterError(f"the cluster's network {network} is in use on this host: route {', '.join(taken)}")


def _remember(paths: Paths) -> None:
    if not (SYSCTL / "net/bridge").exists() and not succeeds(["modprobe", "br_netfilter"]):
        raise ClusterError("the kernel module br_netfilter is missing: `modprobe br_netfilter` does not work")
    before = {name: (SYSCTL / name).read_text().strip() for name in SETTINGS}
    temporary = paths.network.with_suffix(".new")
    temporary.write_text(json.dumps(before))
    temporary.replace(paths.network)


def _bridge_exists() -> bool:
    return succeeds(["ip", "link", "show", "dev", BRIDGE])


def is_there() -> bool:
    """Whether bridge and chains are in place."""
    return _bridge_exists() and "TRIMTAB-FORWARD" in packet_filter.chains(packet_filter.saved_rules("iptables"))


def remove_network(paths: Paths) -> None:
    """Undo ensure_network, kube-proxy's chains and what the bridge plugin left; harmless when nothing is there."""
    if not paths.network.exists():
        return
    packet_filter.remove_rules()
    if _bridge_exists():
        for link in json.loads(run(["ip", "-j", "link", "show", "master", BRIDGE]) or "[]"):
            succeeds(["ip", "link", "delete", link["ifname"]])
        run(["ip", "link", "delete", BRIDGE])
    for name, value in json.loads(paths.network.read_text()).items():
        if (SYSCTL / name).exists() and (SYSCTL / name).read_text().strip() != value:
            (SYSCTL / name).write_text(value)
    succeeds(["conntrack", "-D", "-s", POD_CIDR])
    succeeds(["conntrack", "-D", "-d", POD_CIDR])
    paths.network.unlink()


def nameservers(resolver_file: str) -> list[str]:
    """Name servers of a resolv.conf that a pod could reach: those on the loopback interface it could not."""
    words = [line.split() for line in resolver_file.splitlines()]
    servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [server for server in servers if not server.startswith("127.") and server != "::1"]


def host_nameservers() -> list[str]:
    """Find the host's own name servers, behind a local resolver where it has one; may be empty."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if path.exists() and (servers := nameservers(path.read_text())):
            return servers
    return []
