"""The engines of a target, as the NodeTunings of its pods' nodes show them; read live, for a trial waits on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pydantic import ValidationError

from trimtab_api import NodeTuning
from trimtab_operator.errors import KubeNotFound
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import NODE_TUNINGS
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.snapshot import Pod


async def read_engines(kube: Kube, pods: Iterable[Pod]) -> dict[str, EngineState]:
    """Return what is known of each pod's engine, by pod uid; a pod that no NodeTuning knows is left out.

    Raises:
        KubeError: the API server did not answer, or may not be asked.
    """
    known = {pod.uid: pod.node for pod in pods if pod.node is not None}
    nodes = sorted(set(known.values()))
    tunings = dict(zip(nodes, await asyncio.gather(*(_read(kube, node) for node in nodes)), strict=True))
    return {uid: state for uid, node in known.items() if (state := _state(tunings[node], uid)) is not None}


async def _read(kube: Kube, node: str) -> NodeTuning | None:
    """Return the node's NodeTuning; None where there is none, or none that this version can read."""
    try:
        return NodeTuning.model_validate(await kube.get(NODE_TUNINGS, None, node))
    except (KubeNotFound, ValidationError):
        return None


def _state(tuning: NodeTuning | None, uid: str) -> EngineState | None:
    if tuning is None:
        return None
    entry = next((each for each in tuning.spec.engines if each.pod_uid == uid), None)
    report = next((each for each in tuning.status.engines if each.pod_uid == uid), None)
    return None if entry is None and report is None else EngineState(entry, report)
