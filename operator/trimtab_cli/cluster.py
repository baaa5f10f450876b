"""Reads of the API server with the person's own kubeconfig, as models. Errors say what kubectl would say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from kubernetes import config
from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from trimtab_api import GROUP, VERSION, OptimizationPolicy, OptimizationTrial

TIMEOUT_SECONDS = 15


class ClusterError(Exception):
    """The API server refused or did not answer; the text is for the person."""


class Cluster(Protocol):
    """What the commands need."""

    @property
    def namespace(self) -> str:
        """The namespace of the current context."""
        ...

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        """Every policy of a namespace, or of all. Raises ClusterError."""
        ...

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        """One policy. Raises ClusterError."""
        ...

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        """Every trial of a namespace, or of all. Raises ClusterError."""
        ...


@dataclass(frozen=True)
class RealCluster:
    """See Cluster."""

    api: CustomObjectsApi
    namespace: str

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        """Every policy of a namespace, or of all."""
        return [OptimizationPolicy.model_validate(body) for body in self._list("optimizationpolicies", namespace)]

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        """One policy."""
        try:
            body = self.api.get_namespaced_custom_object(
                GROUP, VERSION, namespace, "optimizationpolicies", name, _request_timeout=TIMEOUT_SECONDS
            )
        except (ApiException, HTTPError) as error:
            raise ClusterError(_said(error)) from error
        return OptimizationPolicy.model_validate(body)

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        """Every trial of a namespace, or of all."""
        return [OptimizationTrial.model_validate(body) for body in self._list("optimizationtrials", namespace)]

    def _list(self, plural: str, namespace: str | None) -> list[dict[str, Any]]:
        try:
            if namespace is None:
                found: Any = self.api.list_cluster_custom_object(
                    GROUP, VERSION, plural, _request_timeout=TIMEOUT_SECONDS
                )
            else:
                found = self.api.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, plural, _request_timeout=TIMEOUT_SECONDS
                )
        except (ApiException, HTTPError) as error:
            raise ClusterError(_said(error)) from error
        items: list[dict[str, Any]] = found.get("items") or []
        return items


def connect(kubeconfig: str | None, context: str | None) -> RealCluster:
    """Use the kubeconfig that kubectl would use.

    Raises:
        ClusterError: there is none, or it has no such context.
    """
    try:
        client: ApiClient = config.new_client_from_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
        contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise ClusterError(f"no usable kubeconfig: {error}") from error
    chosen = next((row for row in contexts if row["name"] == context), current)
    return RealCluster(CustomObjectsApi(client), str(chosen["context"].get("namespace") or "default"))


def _said(error: ApiException | HTTPError) -> str:
    if not isinstance(error, ApiException):
        return f"the API server does not answer: {error}"
    if error.status == 404 and not _message(error):
        return "the kinds of Trimtab are not installed: run kubectl apply --server-side -f crds/"
    return _message(error) or f"the API server answered {error.status} {error.reason}"


def _message(error: ApiException) -> str:
    try:
        body = json.loads(error.body or "")
    except ValueError:
        return ""
    return str(body.get("message") or "") if isinstance(body, dict) else ""
