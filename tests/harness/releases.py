"""Releases of the chart on a real cluster, each in a namespace of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from harness.chart import CHART
from harness.cluster import Cluster, eventually

NAME = "trimtab"
PROMETHEUS_URL = "http://prometheus.monitoring.svc:9090"


@dataclass(frozen=True)
class Release:
    """The chart as it is, with rights in the namespace `watched` only."""

    cluster: Cluster
    namespace: str
    watched: str

    def install(self) -> None:
        """Install and wait until everything is ready."""
        self.cluster.kubectl("create", "namespace", self.watched)
        self._apply("install", "--create-namespace")

    def upgrade(self, **values: Any) -> None:
        """Upgrade with these values beside the ones of the installation; AssertionError with Helm's words."""
        self._apply("upgrade", **values)

    def rollback(self, revision: int) -> None:
        """Go back to a revision."""
        self.cluster.helm("rollback", NAME, str(revision), "-n", self.namespace, "--wait", "--timeout", "3m")

    def revision(self) -> int:
        """Number of the present revision."""
        history = json.loads(self.cluster.helm("history", NAME, "-n", self.namespace, "-o", "json"))
        return int(history[-1]["revision"])

    def uninstall(self) -> None:
        """Uninstall and wait until its pods are gone."""
        self.cluster.helm("uninstall", NAME, "-n", self.namespace, "--wait", "--timeout", "2m")

    def remove(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        self.cluster.helm("uninstall", NAME, "-n", self.namespace, "--ignore-not-found", check=False)
        self.cluster.kubectl(
            "delete", "namespace", self.namespace, self.watched, "--ignore-not-found", "--timeout=120s", timeout=150
        )

    def pods(self) -> Sequence[dict[str, Any]]:
        """The release's pods, also those that are on their way out, without the pod of `helm test`."""
        selector = "app.kubernetes.io/component in (operator,agent)"
        return self.cluster.objects("pods", self.namespace, "-l", selector)

    def pod_uids(self) -> set[str]:
        """Identities of the pods that are there to stay."""
        return {pod["metadata"]["uid"] for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]}

    def may(self, *question: str) -> bool:
        """Answer of `kubectl auth can-i` for the operator's account."""
        account = f"--as=system:serviceaccount:{self.namespace}:trimtab-operator"
        return self.cluster.kubectl("auth", "can-i", *question, account, check=False).startswith("yes")

    def _apply(self, verb: str, *arguments: str, **values: Any) -> None:
        registry, _, rest = self.cluster.images["control"].partition("/")
        repository, _, tag = rest.rpartition(":")
        state = self.cluster.state
        fixed = {
            "image": {"registry": registry, "repository": repository, "tag": tag},
            "prometheus": {"url": PROMETHEUS_URL},
            "watchNamespaces": [self.watched],
            "rbac": {"userRoles": False},
            "agent": {
                "podLogsDir": str(state / "pod-logs"),
                "podResourcesDir": str(state / "kubelet" / "pod-resources"),
            },
        }
        self.cluster.helm(
            verb, NAME, str(CHART), "-n", self.namespace, *arguments, "--values", "-", "--wait", "--timeout", "3m",
            input=yaml.safe_dump({**fixed, **values}),
        )  # fmt: skip


# Kinds of its own: nothing that asks for a policy by any of its names may meet these.
_RENAMED = (
    ("OptimizationPolicy", "TestPolicy"),
    ("OptimizationTrial", "TestTrial"),
    ("NodeTuning", "TestTuning"),
    ("optimizationpolicies", "testpolicies"),
    ("optimizationpolicy", "testpolicy"),
    ("optimizationtrial", "testtrial"),
    ("nodetuning", "testtuning"),
    ("optpol", "testpol"),
    ("opttrial", "testtr"),
    ("nodetune", "testtune"),
    ("- trimtab\n", "- chart-test\n"),
)
PLURALS = ("testpolicies", "testtrials", "testtunings")


@dataclass(frozen=True)
class ForeignChart:
    """The chart with its kinds in a group of its own: the life of its definitions, apart from the real ones.

    The group is used once: the API server takes up to a minute to remove a definition that was changed just before.
    """

    cluster: Cluster
    folder: Path
    namespace: str

    @property
    def group(self) -> str:
        """API group of its kinds."""
        return f"{self.namespace}.trimtab.dev"

    def version(self, version: str, *, spec_field: str | None = None) -> Path:
        """Make the chart of that version; a `spec_field` is a field that its definitions know beside the others."""
        made = self.folder / version
        shutil.copytree(CHART, made)
        for path in [*made.glob("templates/**/*"), *made.glob("files/crds/*")]:
            if path.is_file():
                path.write_text(self._renamed(path.read_text()))
        for path in [made / "Chart.yaml", *made.glob("files/crds/*")]:
            text = re.sub(r"^version: \S+", f"version: {version}", path.read_text(), flags=re.MULTILINE)
            path.write_text(re.sub(r"(/chart-version: )\S+", rf'\g<1>"{version}"', text))
        if spec_field:
            (definition,) = made.glob("files/crds/optimizationpolicies.yaml")
            crd = yaml.safe_load(definition.read_text())
            spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            spec["properties"][spec_field] = {"type": "string", "description": "New in this version."}
            definition.write_text(yaml.safe_dump(crd, sort_keys=False))
        return made

    def helm(self, verb: str, chart: Path, release: str = "first") -> str:
        """Install or upgrade; the operator is not waited for: it does not know these kinds."""
        values = ("--set", f"prometheus.url={PROMETHEUS_URL},agent.enabled=false,rbac.userRoles=false")
        return self.cluster.helm(
            verb, release, str(chart), "-n", self.namespace, "--create-namespace", *values, "--timeout", "1m"
        )

    def definition(self, plural: str = "testpolicies") -> dict[str, Any] | None:
        """One definition, None when it is not there."""
        return self.cluster.get("customresourcedefinition", f"{plural}.{self.group}", "default")

    def chart_version(self) -> str:
        """Version of the chart that the installed definition of the policies comes from, "" without one."""
        found = self.definition() or {"metadata": {}}
        return str(found["metadata"].get("annotations", {}).get(f"{self.group}/chart-version", ""))

    def store_policy(self, name: str = "chat", **spec: Any) -> None:
        """Store a policy once the API server serves the kind."""
        manifest = {
            "apiVersion": f"{self.group}/v1alpha1",
            "kind": "TestPolicy",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "objectives": {"latency": {"percentile": 95, "max": "500ms"}},
                "scaling": {"minReplicas": 1, "maxReplicas": 4},
                **spec,
            },
        }
        wait = ("wait", "--for=condition=Established", "--timeout=30s", f"crd/testpolicies.{self.group}")
        self.cluster.kubectl(*wait)
        eventually(lambda: self._stored(manifest), "the API server stores a policy", 30)

    def policy(self, name: str = "chat") -> dict[str, Any]:
        """The policy as the API server reads it."""
        found = self.cluster.get(f"testpolicies.{self.group}", name, self.namespace)
        assert found, f"policy {name} is gone"
        return found

    def write_status(self, name: str = "chat") -> None:
        """Write the status as the operator does: the whole object passes through the schema and back into storage."""
        patch = json.dumps({"status": {"phase": "Discovery"}})
        self.cluster.kubectl(
            "-n",
            self.namespace,
            "patch",
            f"testpolicies.{self.group}",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        )

    def wait_guarded(self) -> None:
        """Wait until the API server enforces the policy that keeps newer definitions."""
        older = ("annotate", "crd", f"testpolicies.{self.group}", f"{self.group}/chart-version=0.0.1", "--overwrite")
        present = self.chart_version()

        def kept() -> bool:
            answer = json.loads(self.cluster.kubectl(*older, "--dry-run=server", "-o", "json"))
            return bool(answer["metadata"]["annotations"][f"{self.group}/chart-version"] == present)

        eventually(kept, "newer definitions are guarded", 60)

    def remove(self) -> None:
        """Remove the releases, their namespace, the definitions and what is stored under them."""
        for release in ("first", "second"):
            self.cluster.helm("uninstall", release, "-n", self.namespace, "--ignore-not-found")
        definitions = [f"crd/{plural}.{self.group}" for plural in PLURALS]
        self.cluster.kubectl("delete", *definitions, "--ignore-not-found", "--wait=false")
        self.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")

    def _stored(self, manifest: dict[str, Any]) -> bool:
        answer = self.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest), check=False)
        return answer.strip().endswith("serverside-applied")

    def _renamed(self, text: str) -> str:
        for old, new in (("trimtab.dev", self.group), *_RENAMED):
            text = text.replace(old, new)
        return text
