"""The cluster of the demo: reads as JSON over one connection pool, changes by kubectl and helm as a user makes them.

Only what is timed to the millisecond is written over the pool too: kubectl takes longer to start than the write takes.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from dev.demo.errors import DemoError

Json = dict[str, Any]
# The package has no types here.
_load: Any = config.new_client_from_config

READ_TIMEOUT_SECONDS = (3.0, 10.0)


@dataclass(frozen=True)
class Programs:
    """kubectl and helm, and the kubeconfig that they use."""

    kubectl: str
    helm: str
    kubeconfig: Path

    def run_kubectl(self, *arguments: str, text: str | None = None, timeout_seconds: float = 60) -> str:
        """Run kubectl; returns its output, raises DemoError with its own words."""
        return self._run([self.kubectl, *arguments], text, timeout_seconds)

    def run_helm(self, *arguments: str, text: str | None = None, timeout_seconds: float = 300) -> str:
        """Run helm; returns its output, raises DemoError with its own words."""
        return self._run([self.helm, *arguments], text, timeout_seconds)

    def _run(self, command: list[str], text: str | None, timeout_seconds: float) -> str:
        shown = " ".join([Path(command[0]).name, *command[1:]])
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
                check=False,
            )
        except FileNotFoundError as error:
            raise DemoError(f"{command[0]} is not installed; it must be on PATH with CLUSTER=current") from error
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"`{shown}` did not end within {timeout_seconds:g} s") from error
        if done.returncode != 0:
            raise DemoError(f"`{shown}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout


class Kube:
    """Speaks to the API server; each method raises DemoError when it does not answer."""

    def __init__(self, kubeconfig: Path) -> None:
        try:
            self._api: Any = _load(config_file=str(kubeconfig))
        except config.ConfigException as error:
            raise DemoError(f"{kubeconfig} is not a usable kubeconfig: {error}") from error

    def get(self, path: str, **query: str) -> Json | None:
        """Return the JSON at a path of the API server, None for 404."""
        text = self.text(path, **query)
        if text is None:
            return None
        document: Json = json.loads(text)
        return document

    def text(self, path: str, **query: str) -> str | None:
        """Return what stands at a path of the API server, such as a pod's page through its proxy; None for 404."""
        status, found = self._call("GET", path, query, {"Accept": "application/json, text/plain"}, None)
        if status == 404:
            return None
        if status != 200:
            raise DemoError(f"GET {path}: status {status}: {found[:300]}")
        return found

    def apply(self, path: str, body: Json, manager: str) -> None:
        """Apply an object on the server's side as field manager `manager`; what it applied before and not now goes."""
        query = {"fieldManager": manager, "force": "true"}
        status, found = self._call("PATCH", path, query, {"Content-Type": "application/apply-patch+yaml"}, body)
        if status not in (200, 201):
            raise DemoError(f"PATCH {path}: status {status}: {found[:300]}")

    def _call(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Json | None
    ) -> tuple[int, str]:
        request = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._api.call_api(*request, _request_timeout=READ_TIMEOUT_SECONDS)
            answer.read()
        except client.ApiException as error:
            raise DemoError(f"{method} {path}: {error.reason}") from error
        except Exception as error:  # urllib3 has no common base for what goes wrong below HTTP
            raise DemoError(f"{method} {path}: the API server does not answer: {error}") from error
        return int(answer.status), bytes(answer.data).decode(errors="replace")

    def items(self, path: str, **query: str) -> list[Json]:
        """Return the items of a list; empty for 404."""
        found = self.get(path, **query)
        return [] if found is None else list(found["items"])


def as_yaml(document: Json) -> str:
    """Write values for helm's standard input."""
    return yaml.safe_dump(document, sort_keys=False)
