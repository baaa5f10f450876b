"""The whole spec of one NodeTuning, composed from all persisted decisions by one pure function.

* An entry stands for each attachable pod of a policy that tunes engines, as `status.tuning` of that policy says.
* An entry of a pod that no policy speaks for stays while the pod lives: what was promoted stays, what was under trial
  goes back to its fallback. Until every policy has been heard, such entries are left exactly as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from trimtab_api.node_tuning import MAX_ENGINES, EngineEntry
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_api.policy_status import Tuning
from trimtab_operator.model.snapshot import Pod, Snapshot, TargetProblem


@dataclass(frozen=True)
class Ask:
    """The entry that a policy asks for on a node."""

    node: str
    entry: EngineEntry


def asks_of(policy: OptimizationPolicy, snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return the entries that the stored policy asks for, for its pods as they are now; none on an older one's target.

    So no two policies ask for the same pod.
    """
    target, tuning = snapshot.target, policy.status.tuning
    if isinstance(target, TargetProblem) or tuning is None or policy.spec.mode is not Mode.APPLY:
        return ()
    if snapshot.taken_by is not None:
        return ()
    pods = (pod for pod in target.pods if pod.attachable)  # one on its way out is still there: it keeps what it has
    return tuple(Ask(pod.node, _entry(tuning, target.namespace, pod)) for pod in pods if pod.node is not None)


def _entry(tuning: Tuning, namespace: str, pod: Pod) -> EngineEntry:
    change = tuning.change
    bare = EngineEntry(pod_uid=pod.uid, namespace=namespace, pod=pod.name, settings=tuning.settings)
    if change is None or pod.uid not in change.pods:
        return bare
    changed = bare.model_copy(update={"settings": change.settings})
    if change.expires_at is None:
        return changed
    trial = {"trial": change.trial, "expires_at": change.expires_at, "fallback": tuning.settings}
    return changed.model_copy(update=trial)


def node_spec(
    asked: Iterable[EngineEntry], existing: Iterable[EngineEntry], living: Set[str], *, complete: bool
) -> tuple[EngineEntry, ...]:
    """Return every entry of a node, by pod uid.

    `living` holds the uids of the pods, among those of `existing` that nobody asks for, that still exist; `complete`
    says that every policy has been heard. More than MAX_ENGINES do not fit: asked entries go first, each by pod uid.
    """
    entries = {entry.pod_uid: entry for entry in sorted(asked, key=_uid)}
    for entry in sorted(existing, key=_uid):
        if entry.pod_uid in entries or (complete and entry.pod_uid not in living):
            continue
        entries[entry.pod_uid] = _orphaned(entry) if complete else entry
    kept = list(entries.values())[:MAX_ENGINES]
    return tuple(sorted(kept, key=_uid))


def _uid(entry: EngineEntry) -> str:
    return entry.pod_uid


def _orphaned(entry: EngineEntry) -> EngineEntry:
    if entry.fallback is None:
        return entry
    ended: Mapping[str, object] = {"settings": entry.fallback, "trial": None, "expires_at": None, "fallback": None}
    return entry.model_copy(update=ended)
