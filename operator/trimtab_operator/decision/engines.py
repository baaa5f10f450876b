"""What the engines of a target say of themselves together: attached or not, and the settings that they run with."""

from __future__ import annotations

from trimtab_api.engine_settings import EngineSettings
from trimtab_operator.model.snapshot import Pod, Snapshot, Target


def attachable_pods(target: Target) -> tuple[Pod, ...]:
    """Return the serving pods that mount a token for their node's agent."""
    return tuple(pod for pod in target.ready_pods if pod.attachable)


def trial_pods(target: Target, worse: frozenset[str]) -> tuple[Pod, ...]:
    """Return the attachable pods that a trial may compare: none that is worse than its siblings (names)."""
    return tuple(pod for pod in attachable_pods(target) if pod.name not in worse)


def unattached(snapshot: Snapshot, target: Target) -> tuple[Pod, ...]:
    """Return the attachable pods whose engine does not ask for settings, or has not said what it runs with."""
    return tuple(
        pod
        for pod in attachable_pods(target)
        if (state := snapshot.engines.get(pod.uid)) is None or not state.attached or state.applied is None
    )


def engine_refusal(snapshot: Snapshot, target: Target) -> str | None:
    """Return what one of the attachable pods' engines would not take, as a sentence; None where all took everything."""
    for pod in attachable_pods(target):
        said = snapshot.engines.get(pod.uid)
        refused = None if said is None else said.refusal()
        if refused is not None:
            return f"the engine of pod {pod.name} refused {refused}"
    return None


def common_settings(snapshot: Snapshot, target: Target) -> EngineSettings | None:
    """Return the complete settings that all attachable pods run with; None where they differ or are not known."""
    pods = attachable_pods(target)
    applied = [state.applied for pod in pods if (state := snapshot.engines.get(pod.uid)) is not None]
    if not pods or len(applied) < len(pods) or any(each != applied[0] for each in applied):
        return None
    return applied[0]
