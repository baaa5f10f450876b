"""A real API server with our CRDs for every contract test: the running cluster, or one that is started for it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.leftovers import remove_leftovers

from dev.cluster.claim import claim
from dev.cluster.paths import default_paths

ROOT = Path(__file__).parents[2]


class RefusedError(AssertionError):
    """Kubectl ended with an error; the text is what a user would read."""


@dataclass(frozen=True)
class ApiServer:
    """A real API server, spoken to as a user does."""

    kubeconfig: Path
    kubectl_binary: Path

    def kubectl(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 60) -> str:  # noqa: A002
        """Standard output of kubectl; raises RefusedError with its standard error when it fails and `check`."""
        done = subprocess.run(
            [str(self.kubectl_binary), "--kubeconfig", str(self.kubeconfig), *args],
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise RefusedError(done.stderr or done.stdout)
        return done.stdout

    def answers(self) -> bool:
        """Whether it is there and ready."""
        if not self.kubeconfig.is_file() or not self.kubectl_binary.is_file():
            return False
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=10s").strip() == "ok"
        except (RefusedError, subprocess.TimeoutExpired):
            return False


def _current_cluster() -> ApiServer:
    kubectl = shutil.which("kubectl")
    assert kubectl, "CLUSTER=current needs kubectl on PATH"
    kubeconfig = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or str(Path.home() / ".kube" / "config")
    return ApiServer(Path(kubeconfig), Path(kubectl))


def _dev_cluster() -> ApiServer:
    cache = Path(os.environ.get("TRIMTAB_CACHE") or Path.home() / ".cache" / "trimtab")
    done = subprocess.run(
        [sys.executable, "-m", "dev.cluster", "kubeconfig"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ApiServer(Path(done.stdout.strip() or os.devnull), cache / "tools" / "kubectl")


def _remove_release(server: ApiServer) -> None:
    """Uninstall what a demo left: an operator at work would write the status of the policies made here."""
    helm = server.kubectl_binary.with_name("helm")
    command = [str(helm), "--kubeconfig", str(server.kubeconfig), "uninstall", "trimtab", "-n", "trimtab-system"]
    subprocess.run([*command, "--ignore-not-found", "--wait"], timeout=180, check=True, capture_output=True)


@pytest.fixture(scope="session")
def api_server() -> ApiServer:
    if os.environ.get("CLUSTER") == "current":
        server = _current_cluster()
    else:
        claim(default_paths())
        server = _dev_cluster()
        if not server.answers():
            subprocess.run([sys.executable, "-m", "dev.cluster", "up"], cwd=ROOT, timeout=3600, check=True)
            server = _dev_cluster()
        _remove_release(server)
        remove_leftovers(server.kubectl)
    assert server.answers(), f"no API server answers at {server.kubeconfig}"
    crds = sorted((ROOT / "crds").glob("*.yaml"))
    files = [argument for crd in crds for argument in ("-f", str(crd))]
    server.kubectl("apply", "--server-side", "--force-conflicts", *files)
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)
    # The storage of a fresh CRD answers 429 for a moment, which kubectl waits out.
    server.kubectl("get", "--all-namespaces", ",".join(crd.stem for crd in crds))
    return server


@pytest.fixture(scope="module")
def namespace(api_server: ApiServer) -> Iterator[str]:
    """A namespace of this module alone."""
    name = f"contract-{secrets.token_hex(4)}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")
