"""Calls of the API server with the person's own kubeconfig, as models; failures become sentences with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from trimtab_api import GROUP, VERSION, OptimizationPolicy, OptimizationTrial
from trimtab_api.base import ApiModel
from trimtab_api.trial import TrialApproval
from trimtab_cli.cluster import ClusterError

TIMEOUT_SECONDS = 15
MAX_NAMES = 10
POLICIES = "optimizationpolicies"
TRIALS = "optimizationtrials"
KINDS = {POLICIES: "OptimizationPolicy", TRIALS: "OptimizationTrial"}
WRITERS = {POLICIES: "trimtab-edit", TRIALS: "trimtab-approve"}
FIELD_MANAGER = "kubectl-trimtab"

Model = TypeVar("Model", bound=ApiModel)


@dataclass(frozen=True)
class ApiServer:
    """See Cluster."""

    api: CustomObjectsApi
    namespace: str

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        """Every policy of a namespace, or of all."""
        return [_read(OptimizationPolicy, body) for body in self._list(POLICIES, namespace)]

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        """One policy."""
        return _read(OptimizationPolicy, self._get(POLICIES, namespace, name))

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        """Every trial of a namespace, or of all."""
        return [_read(OptimizationTrial, body) for body in self._list(TRIALS, namespace)]

    def trial(self, namespace: str, name: str) -> OptimizationTrial:
        """One trial."""
        return _read(OptimizationTrial, self._get(TRIALS, namespace, name))

    def say(self, namespace: str, trial: str, word: TrialApproval) -> None:
        """Write a person's word on a trial."""
        self._write(TRIALS, namespace, trial, {"approval": word.value})

    def roll_back(self, namespace: str, policy: str, to: str | None) -> None:
        """Write spec.rollbackTo of a policy, or remove it."""
        self._write(POLICIES, namespace, policy, {"rollbackTo": to})

    def _get(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        try:
            found: Any = self.api.get_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name, _request_timeout=TIMEOUT_SECONDS
            )
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status == 404 and _message(error):
                names = (str(each["metadata"]["name"]) for each in self._list(plural, namespace))
                raise ClusterError(not_found(KINDS[plural], namespace, name, names)) from error
            raise ClusterError(sentence(error)) from error
        body: dict[str, Any] = found
        return body

    def _write(self, plural: str, namespace: str, name: str, spec: dict[str, str | None]) -> None:
        """Merge fields into spec; the API server's rules decide whether they may be written."""
        try:
            self.api.patch_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name, {"spec": spec},
                field_manager=FIELD_MANAGER, _request_timeout=TIMEOUT_SECONDS,
            )  # fmt: skip
        except (ApiException, HTTPError) as error:
            raise ClusterError(sentence(error, WRITERS[plural])) from error

    def _list(self, plural: str, namespace: str | None) -> list[dict[str, Any]]:
        found: Any
        try:
            if namespace is None:
                found = self.api.list_cluster_custom_object(GROUP, VERSION, plural, _request_timeout=TIMEOUT_SECONDS)
            else:
                found = self.api.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, plural, _request_timeout=TIMEOUT_SECONDS
                )
        except (ApiException, HTTPError) as error:
            raise ClusterError(sentence(error)) from error
        items: list[dict[str, Any]] = found.get("items") or []
        return items


def connect(kubeconfig: str | None, context: str | None) -> ApiServer:
    """Use the kubeconfig that kubectl would use.

    Raises:
        ClusterError: there is none, it cannot be read, or it has no such context.
    """
    settings = Configuration()
    # A person waits for the answer: one try, then the sentence.
    settings.retries = False
    try:
        client: ApiClient = config.new_client_from_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=settings
        )
        contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise ClusterError(_unusable(_one_line(error))) from error
    # This is how the client ends on a file that is YAML but no kubeconfig.
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ClusterError(_unusable(f"it does not have the shape of one ({_one_line(error)})")) from error
    chosen = next((row for row in contexts if row["name"] == context), current)
    return ApiServer(CustomObjectsApi(client), str(chosen["context"].get("namespace") or "default"))


def sentence(error: ApiException | HTTPError, role: str = "trimtab-view") -> str:
    """Return one line that says what went wrong and what to do about it; `role` allows what was refused."""
    if not isinstance(error, ApiException):
        return (
            f"the API server does not answer: {_one_line(error)}; try `kubectl cluster-info`, or choose with --context"
        )
    if error.status == 404 and not _message(error):
        return "the kinds of Trimtab are not installed in this cluster: helm install trimtab, or another --context"
    said = _message(error) or f"the API server answered {error.status} {error.reason}"
    advice = {
        401: "; log in again, or choose another --context",
        403: f"; ask for the ClusterRole {role}, or choose your namespace with -n",
    }
    return said + advice.get(int(error.status or 0), "")


def not_found(kind: str, namespace: str, name: str, found: Iterable[str]) -> str:
    """Return one line that names the objects there are instead."""
    names = sorted(found)
    shown = ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
    there = f"there are: {shown}" if names else "there are none; -A with `status` or `trials` looks everywhere"
    return f'no {kind} "{name}" in namespace "{namespace}"; {there}'


def _read(model: type[Model], body: dict[str, Any]) -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        name = body.get("metadata", {}).get("name", "")
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise ClusterError(
            f"{model.__name__} {name}: this kubectl-trimtab cannot read {field}; use the operator's version of it"
        ) from error


def _unusable(why: str) -> str:
    return f"no usable kubeconfig: {why}; set KUBECONFIG, --kubeconfig or --context"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _message(error: ApiException) -> str:
    try:
        body = json.loads(error.body or "")
    except ValueError:
        return ""
    return str(body.get("message") or "") if isinstance(body, dict) else ""
