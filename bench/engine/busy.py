"""Whether this machine is quiet: what other processes take of it, and what can be done about that."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

from bench.server_process import tree

MOST_CORES = 0.15
LOOK_SECONDS = 3.0
_CLUSTER = ("kube-apiserver", "kube-controller", "kube-scheduler", "kube-proxy", "kubelet", "etcd", "containerd")
_TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds(left_out: set[int]) -> dict[str, float]:
    """Return the CPU seconds that every process has used so far, summed by name."""
    found: defaultdict[str, float] = defaultdict(float)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(stat.parent.name) not in left_out:
            name, used = _used(text)
            found[name] += used
    return found


def _used(stat: str) -> tuple[str, float]:
    """Return name and CPU seconds from the text of /proc/PID/stat; the name may hold spaces and brackets."""
    name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    return name, (int(fields[11]) + int(fields[12])) / _TICKS


def other_load(seconds: float = LOOK_SECONDS) -> dict[str, float]:
    """Return the cores that others take, by the name of their processes, largest first, over some seconds."""
    ours = tree(os.getpid())
    before, began = busy_seconds(ours), time.monotonic()
    time.sleep(seconds)
    after, passed = busy_seconds(ours), time.monotonic() - began
    used = {name: more / passed for name in after if (more := after[name] - before.get(name, 0.0)) > 0}
    return dict(sorted(used.items(), key=lambda each: -each[1]))


def warning(load: dict[str, float]) -> str:
    """Return what to tell a person about that load; empty on a quiet machine."""
    total = sum(load.values())
    if total <= MOST_CORES:
        return ""
    names = ", ".join(f"{name} {cores:.2f}" for name, cores in list(load.items())[:4])
    cluster = any(name.startswith(_CLUSTER) for name in load)
    remedy = "; a local cluster runs: `python -m dev.cluster down` ends it" if cluster else ""
    return f"this machine is not quiet: others take {total:.2f} cores ({names}){remedy}; slices may come out void"
