"""What the operator recorded while the demo ran, taken again through the same pure code."""

from __future__ import annotations

from dev.demo.errors import DemoError
from dev.demo.plan import SYSTEM_NAMESPACE
from dev.demo.stage import Stage
from trimtab_replay.replay import replay

_PODS = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods"


def replayed(stage: Stage) -> tuple[str, ...]:
    """Replay every recorded tick and tell how many there are; returns what went wrong."""
    pods = stage.kube.items(_PODS, labelSelector="app.kubernetes.io/component=operator")
    ticks = list(replay(line for pod in pods for line in _recorded(stage, str(pod["metadata"]["name"]))))
    differing = [(line, differences) for line, differences in ticks if differences]
    stage.narrator.headline("Do recorded decisions come out the same?")
    stage.narrator.block(f"{len(ticks)} recorded ticks replayed, {len(differing)} differ")
    if not ticks:
        return ("no tick was recorded",)
    return tuple(f"a recorded tick replays differently: {differences[0]}" for _, differences in differing[:1])


def _recorded(stage: Stage, pod: str) -> list[str]:
    command = ("-n", SYSTEM_NAMESPACE, "exec", pod, "--", "trimtab-recording")
    try:
        return stage.programs.run_kubectl(*command).splitlines()
    except DemoError:  # a pod that never led has recorded nothing
        return []
