"""The cluster under test, spoken to as a person would: through kubectl and helm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `state` holds the audit log of the embedded one."""

    kubeconfig: Path
    state: Path
    kubectl_binary: Path
    helm_binary: Path
    images: dict[str, str]

    def kubectl(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 90) -> str:  # noqa: A002
        """Standard output of kubectl; AssertionError with its standard error when it fails and `check`."""
        return self._run([str(self.kubectl_binary), *args], input, check, timeout)

    def helm(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 240) -> str:  # noqa: A002
        """Standard output of helm, under the same rules."""
        return self._run([str(self.helm_binary), *args], input, check, timeout)

    def trimtab(self, *args: str, timeout: float = 60) -> str:
        """Standard output of kubectl-trimtab, under the same rules."""
        return self._run([sys.executable, "-m", "trimtab_cli", *args], None, check=True, timeout=timeout)

    def apply(self, *manifests: dict[str, Any], server_side: bool = False) -> str:
        """Apply objects as a user does."""
        text = "\n---\n".join(map(json.dumps, manifests))  # JSON: a YAML 1.1 reader takes a bare n for False
        extra = ("--server-side",) if server_side else ()
        return self.kubectl("apply", *extra, "-f", "-", input=text)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """One object, None when it is not there."""
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def objects(self, kind: str, namespace: str, *selector: str) -> list[dict[str, Any]]:
        """Objects of one kind in a namespace."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *selector))[
            "items"
        ]
        return items

    def _run(self, command: list[str], text: str | None, check: bool, timeout: float) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def eventually(question: Callable[[], T], what: str, seconds: float = 60, every: float = 0.5) -> T:
    """The first truthy answer; AssertionError naming the last one when the deadline passes."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} (last answer: {answer!r})"
        time.sleep(every)


def always(question: Callable[[], bool], what: str, seconds: float, every: float = 1.0) -> None:
    """Holds over the whole time; AssertionError at the first answer that is false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert question(), f"did not hold for {seconds:.0f} s: {what}"
        time.sleep(every)


def dev_cluster(*args: str, timeout: float = 3000) -> str:
    """Standard output of `python -m dev.cluster …`; its progress goes to our standard error as it comes."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.cluster", *args], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"python -m dev.cluster {' '.join(args)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout
