"""Names of pods by uid, from the kubelet's pod log directories: NAMESPACE_POD_UID. No API rights are needed for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trimtab_agent.cgroup_paths import POD_UID
from trimtab_agent.snapshot import PodName

MAX_PODS = 1000

_DIRECTORY = re.compile(rf"(?P<namespace>[a-z0-9-]{{1,63}})_(?P<pod>[a-z0-9.-]{{1,253}})_(?P<uid>{POD_UID})")


def parse_log_directory(name: str) -> tuple[str, PodName] | None:
    """Return uid and name of the pod that a log directory belongs to; None for anything else."""
    match = _DIRECTORY.fullmatch(name)
    return None if match is None else (match["uid"], PodName(match["namespace"], match["pod"]))


def read_pod_names(pod_logs: Path) -> dict[str, PodName]:
    """Map pod uid to name for every pod with logs here, at most MAX_PODS. Raises OSError when it cannot be listed."""
    with os.scandir(pod_logs) as entries:
        parsed = (parse_log_directory(entry.name) for entry in entries)
        return dict(sorted(pair for pair in parsed if pair is not None)[:MAX_PODS])
