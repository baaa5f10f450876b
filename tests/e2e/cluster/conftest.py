"""A second cluster beside the first: in a network namespace of its own, with a state directory of its own.

Taking a cluster up and down, and killing it half-way, must not disturb the one that the other scenarios use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.cluster.paths import REPOSITORY, cgroup_of, default_paths

# The holder says that the namespace is laid out. Forwarding is off, so that a test sees it come and go.
_HOLD = "ip link set lo up && echo 0 > /proc/sys/net/ipv4/ip_forward && echo ready && exec sleep infinity"


@dataclass(frozen=True)
class Elsewhere:
    """Where commands run as on another machine: same files and processes, another network."""

    holder: int
    state: Path

    def command(self, *words: str | Path) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder}/ns/net", "--", *map(str, words)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TRIMTAB_STATE": str(self.state), "KUBECONFIG": str(self.state / "kubeconfig")}

    def run(
        self, *words: str | Path, stdin: str | None = None, check: bool = True, timeout_seconds: float = 240
    ) -> str:
        """Standard output; AssertionError with everything that was said when it fails and `check`."""
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            env=self.environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{words} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def cluster(self, verb: str) -> str:
        return self.run(sys.executable, "-m", "dev.cluster", verb)

    def up_killed_after(self, seconds: float) -> None:
        """Start `up` and kill it, as a power-hungry user or a broken CI would."""
        with subprocess.Popen(
            self.command(sys.executable, "-m", "dev.cluster", "up"),
            env=self.environment,
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as up:
            try:
                up.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                up.kill()

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.run(default_paths().tools / "kubectl", *words, stdin=stdin)

    def traces(self) -> dict[str, list[str]]:
        """Everything that a cluster leaves on a host while it lives, by kind."""
        rules = self.run("iptables-save") + self.run("ip6tables-save")
        return {
            "chains": [line for line in rules.splitlines() if line.startswith((":KUBE", ":CNI", ":TRIMTAB", "-A"))],
            "links": [line for line in self.run("ip", "-br", "link").splitlines() if not line.startswith("lo ")],
            "forwarding": [line for line in self.run("cat", "/proc/sys/net/ipv4/ip_forward").split() if line != "0"],
            "routes": self.run("ip", "route").splitlines(),
            "mounts": [
                line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.state) in line
            ],
            "processes": _processes(self.state),
            "cgroups": _cgroups(self.state),
            "state": [str(path) for path in self.state.glob("*")],
        }


def _processes(state: Path) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(state).encode() in (folder / "cmdline").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def _cgroups(state: Path) -> list[str]:
    name = cgroup_of(state)
    root = Path("/sys/fs/cgroup")
    return [str(path) for path in (root / name, *(folder / name for folder in root.iterdir())) if path.exists()]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    with subprocess.Popen(["unshare", "--net", "sh", "-c", _HOLD], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n", "network namespaces need root"
        place = Elsewhere(holder.pid, tmp_path_factory.mktemp("second") / "state")
        try:
            yield place
        finally:
            place.cluster("down")
            holder.kill()


@pytest.fixture(scope="module")
def second(elsewhere: Elsewhere) -> Elsewhere:
    """The second cluster, up, with two pods of the base image behind a Service."""
    elsewhere.cluster("up")
    elsewhere.kubectl("create", "deployment", "web", f"--image={base_image(elsewhere)}", "--replicas=2", "--", *SERVER)
    elsewhere.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8000")
    elsewhere.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    return elsewhere


SERVER = ("python3", "-u", "-m", "http.server", "8000")


def base_image(place: Elsewhere) -> str:
    """The base image, built when the cache has none yet."""
    code = "from dev.cluster import base, paths; print(base.base(paths.default_paths()))"
    return place.run(sys.executable, "-c", code, timeout_seconds=600).strip()
