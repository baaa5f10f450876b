"""Packet filter chains: which are ours to have, and how to take away exactly those."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dev.cluster.errors import ClusterError
from dev.cluster.paths import API_PORT, BRIDGE, CONTROLLERS_PORT, KUBELET_PORT, POD_CIDR, SCHEDULER_PORT
from dev.cluster.shell import run, succeeds

FAMILIES = ("iptables", "ip6tables")
PREFIXES = ("TRIMTAB-", "KUBE-", "CNI-")

# The API server must listen on every address to serve pods and the host; the world outside stays out.
_INNER_PORTS = ",".join(str(port) for port in (API_PORT, CONTROLLERS_PORT, SCHEDULER_PORT, KUBELET_PORT))

RULES = f"""\
*filter
:TRIMTAB-FORWARD - [0:0]
:TRIMTAB-INPUT - [0:0]
-A TRIMTAB-FORWARD -i {BRIDGE} -j ACCEPT
-A TRIMTAB-FORWARD -o {BRIDGE} -j ACCEPT
-A TRIMTAB-INPUT -i lo -j RETURN
-A TRIMTAB-INPUT -i {BRIDGE} -j ACCEPT
-A TRIMTAB-INPUT -p tcp -m multiport --dports {_INNER_PORTS} -j DROP
COMMIT
*nat
:TRIMTAB-MASQUERADE - [0:0]
-A TRIMTAB-MASQUERADE -s {POD_CIDR} ! -d {POD_CIDR} -j MASQUERADE
COMMIT
"""

JUMPS = (
    ("filter", "FORWARD", "TRIMTAB-FORWARD"),
    ("filter", "INPUT", "TRIMTAB-INPUT"),
    ("nat", "POSTROUTING", "TRIMTAB-MASQUERADE"),
)


def apply_rules() -> None:
    """Write our chains anew and make sure that the built-in chains jump to them; needs root."""
    run(["iptables-restore", "--noflush", "--wait"], stdin=RULES)
    for table, chain, target in JUMPS:
        rule = ["-j", target]
        if not succeeds(["iptables", "-w", "-t", table, "-C", chain, *rule]):
            run(["iptables", "-w", "-t", table, "-I", chain, "1", *rule])


def chains(saved: str, prefixes: Iterable[str] = PREFIXES) -> list[str]:
    """Chains with one of the prefixes in the output of iptables-save, in its order."""
    names = re.findall(r"^:(\S+) ", saved, flags=re.MULTILINE)
    return [name for name in names if name.startswith(tuple(prefixes))]


def removal(saved: str, prefixes: Iterable[str] = PREFIXES) -> str:
    """Input for `iptables-restore --noflush` that removes our chains and every rule elsewhere that jumps to one.

    Returns an empty text when there is nothing of ours. Rules of others are neither removed nor reordered.
    """
    prefixes = tuple(prefixes)
    script: list[str] = []
    for table in re.split(r"^(?=\*)", saved, flags=re.MULTILINE):
        name = re.match(r"\*(\S+)", table)
        ours = chains(table, prefixes)
        if name is None or not ours:
            continue
        jumps = [
            line
            for line in re.findall(r"^-A (.*)$", table, flags=re.MULTILINE)
            if not line.startswith(prefixes) and _target(line) in ours
        ]
        script += [f"*{name[1]}", *(f":{chain} - [0:0]" for chain in ours)]
        script += [f"-D {line}" for line in jumps]
        script += [f"-X {chain}" for chain in ours] + ["COMMIT"]
    return "\n".join(script) + "\n" if script else ""


def _target(rule: str) -> str | None:
    found = re.search(r"(?:-j|-g) (\S+)", rule)
    return found[1] if found else None


def saved_rules(family: str) -> str:
    """Read the present rules of a family; empty where the family's tool is missing or the kernel lacks it."""
    try:
        return run([f"{family}-save"])
    except ClusterError:
        return ""


def remove_rules() -> None:
    """Remove every chain of ours from both families; needs root."""
    for family in FAMILIES:
        script = removal(saved_rules(family))
        if script:
            run([f"{family}-restore", "--noflush", "--wait"], stdin=script)


def foreign_kubernetes() -> bool:
    """Whether chains of some Kubernetes exist; ask only when they cannot be ours."""
    return any(chains(saved_rules(family), ("KUBE-SERVICES", "KUBE-SVC-")) for family in FAMILIES)
