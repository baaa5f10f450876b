"""What a run that was killed left in the local cluster: it would stand in the way of the next one."""

from __future__ import annotations

import json
from collections.abc import Callable

OF_A_TEST = ("trimtab.dev/test", "true")
"""The label of what a test makes for the whole cluster, such as a node that it plays."""
OF_THE_WHOLE_CLUSTER = "nodes,validatingadmissionpolicies,validatingadmissionpolicybindings"
OF_THE_CLUSTER = {"default", "kube-node-lease", "kube-public", "kube-system", "trimtab-monitoring"}


def remove_leftovers(kubectl: Callable[..., str]) -> None:
    """Delete what tests made for the whole cluster, and every namespace that is not the cluster's own."""
    kubectl("delete", OF_THE_WHOLE_CLUSTER, "-l", "=".join(OF_A_TEST))
    kubectl("delete", "nodetunings.trimtab.dev", "--all", check=False)  # owned by the node, which stays
    found = json.loads(kubectl("get", "namespaces", "-o", "json"))["items"]
    if old := sorted({item["metadata"]["name"] for item in found} - OF_THE_CLUSTER):
        kubectl("delete", "namespace", *old, "--ignore-not-found", "--timeout=120s", timeout=150)
