"""Builders of cgroup, process and pod log trees, as a node has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

V1_TEXTS = {
    "cpuacct": {"cpuacct.usage": "2000000000\n"},
    "cpu": {
        "cpu.stat": "nr_periods 10\nnr_throttled 1\nthrottled_time 5000000\n",
        "cpu.cfs_quota_us": "50000\n",
        "cpu.cfs_period_us": "100000\n",
    },
    "memory": {
        "memory.usage_in_bytes": "3000\n",
        "memory.stat": "total_inactive_file 1000\n",
        "memory.limit_in_bytes": "8000\n",
        "memory.oom_control": "oom_kill 0\n",
    },
}
V2_TEXTS = {
    "cpu.stat": "usage_usec 2000000\nnr_periods 10\nnr_throttled 1\nthrottled_usec 5000\n",
    "cpu.max": "50000 100000\n",
    "memory.current": "3000\n",
    "memory.stat": "inactive_file 1000\n",
    "memory.max": "8000\n",
    "memory.events": "oom_kill 0\n",
}
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0
  eth0: 1000 5 0 0 0 0 0 0 400 5 0 0 0 0 0 0
  eth1:   20 1 0 0 0 0 0 0   6 1 0 0 0 0 0 0
"""


@dataclass(frozen=True)
class NodeTree:
    """A node below a temporary folder."""

    root: Path

    @property
    def cgroup(self) -> Path:
        return self.root / "cgroup"

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def v1(self) -> None:
        for controller in (*V1_TEXTS, "unified"):
            (self.cgroup / controller).mkdir(parents=True)

    def v2(self) -> None:
        self.cgroup.mkdir(parents=True)
        (self.cgroup / "cgroup.controllers").write_text("cpu memory\n")

    def container(self, path: str) -> None:
        """Make the cgroup of a container, in every controller of v1 or in the one tree of v2."""
        if (self.cgroup / "cgroup.controllers").exists():
            self._write(self.cgroup / path, V2_TEXTS)
            return
        for controller, texts in V1_TEXTS.items():
            self._write(self.cgroup / controller / path, texts)

    def process(self, pid: int, cgroup: str = "/", mount_source: str = "/", network_of: int | None = None) -> None:
        """Make a process; `network_of` is another one whose network it shares."""
        folder = self.proc / str(pid)
        mounts = f"842 806 254:0 {mount_source} /dev/termination-log rw - ext4 /dev/vda rw\n"
        self._write(folder, {"cgroup": f"4:memory:{cgroup}\n0::{cgroup}\n", "mountinfo": mounts})
        (folder / "net").mkdir(exist_ok=True)
        if network_of is None:
            (folder / "net" / "dev").write_text(NET_DEV)
        else:
            os.link(self.proc / str(network_of) / "net" / "dev", folder / "net" / "dev")

    def pod(self, namespace: str, name: str, uid: str) -> None:
        (self.logs / f"{namespace}_{name}_{uid}").mkdir(parents=True)

    @staticmethod
    def _write(folder: Path, texts: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)


@pytest.fixture
def node_tree(tmp_path: Path) -> NodeTree:
    """An empty node: process 1 on the host's network, no pods."""
    tree = NodeTree(tmp_path)
    tree.logs.mkdir()
    tree.process(1)
    return tree
