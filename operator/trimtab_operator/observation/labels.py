"""Which labels name the pod that a series speaks about. Scrapes differ; the pair that joins to real pods is right.

A scrape without honor_labels renames a metric's own `namespace` and `pod` to `exported_*`: then `namespace` is where
the agent runs, not the measured pod. So a pair is believed only when it gives a pod that exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PodKey = tuple[str, str]
"""(namespace, name of the pod)"""


@dataclass(frozen=True)
class PodLabels:
    """Names of the two labels."""

    namespace: str
    pod: str


PLAIN: Final = PodLabels("namespace", "pod")
EXPORTED: Final = PodLabels("exported_namespace", "exported_pod")
CANDIDATES: Final = (
    PLAIN,
    EXPORTED,
    PodLabels("kubernetes_namespace", "kubernetes_pod_name"),
    PodLabels("kubernetes_namespace", "kubernetes_pod"),
    PodLabels("k8s_namespace_name", "k8s_pod_name"),
)


def candidates(configured_namespace: str | None, configured_pod: str | None, source: str) -> tuple[PodLabels, ...]:
    """Return the pairs to try, best first.

    A configured pair is the only one for what the engine's own scrape labels; metrics that carry the pod inside
    (agent, dcgm) may still be renamed.
    """
    if configured_namespace is None and configured_pod is None:
        return CANDIDATES
    configured = PodLabels(configured_namespace or PLAIN.namespace, configured_pod or PLAIN.pod)
    if source == "engine":
        return (configured,)
    return tuple(dict.fromkeys((configured, EXPORTED, PLAIN)))
