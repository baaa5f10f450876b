"""The condition EngineAttached: whether engines take settings from the agents of their nodes, and what to do if not."""

from __future__ import annotations

import json

from trimtab_api.conditions import ConditionStatus, EngineAttachedReason
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY, PORT, SERVICE
from trimtab_operator.decision.engines import attachable_pods, unattached
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, Target

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
MOUNT_PATH = "/var/run/trimtab"
TOKEN_SECONDS = 600
_LOST_STATES = (SignalState.NO_DATA, SignalState.STALE)

Verdict = tuple[ConditionStatus, str, str]


def attachment(snapshot: Snapshot, target: Target, policy: OptimizationPolicy) -> Verdict:
    """Return status, reason and message; the message of NoTokenVolume is the patch that mends it."""
    pods = attachable_pods(target)
    if target.ready_pods and not pods:
        return FALSE, EngineAttachedReason.NO_TOKEN_VOLUME, _advice(snapshot, target)
    if policy.spec.mode is not Mode.APPLY or not pods:
        return UNKNOWN, EngineAttachedReason.ATTACHING, "engines are asked for nothing before mode Apply acts on them"
    waiting = unattached(snapshot, target)
    if not waiting:
        return TRUE, EngineAttachedReason.ATTACHED, f"{len(pods)} engines take settings from the agents of their nodes"
    if _untrusted(snapshot):
        message = "an engine does not trust its node's agent: ConfigMap trimtab-ca is not mounted, or not read yet"
        return FALSE, EngineAttachedReason.AGENT_UNTRUSTED, message
    agent = snapshot.readings.get(Signal.CPU_USED_CORES)
    if agent is not None and agent.state in _LOST_STATES:
        return FALSE, EngineAttachedReason.AGENT_LOST, f"no agent reports from the nodes of the pods: {agent.message}"
    message = f"{len(waiting)} of {len(pods)} engines have not asked for settings yet, first {waiting[0].name}"
    return FALSE, EngineAttachedReason.ATTACHING, message


def _untrusted(snapshot: Snapshot) -> bool:
    reading = snapshot.readings.get(Signal.AGENT_UNTRUSTED)
    return reading is not None and any(value > 0.0 for value in reading.by_pod.values())


def _advice(snapshot: Snapshot, target: Target) -> str:
    patch = json.dumps(_patch(target.container, snapshot.agent_namespace), separators=(",", ":"))
    return (
        f"the pods mount no token for the agents of their nodes; attach them with: "
        f"kubectl -n {target.namespace} patch deployment {target.name} --type strategic -p '{patch}' "
        "(in the manifest: docs/how-to/attach-engine.md)"
    )


def _patch(container: str, namespace: str) -> dict[str, object]:
    """Return what the user's pod template needs, as a strategic merge patch."""
    token = {"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    trust = {"name": CA_CONFIG_MAP, "optional": True, "items": [{"key": CA_KEY, "path": CA_KEY}]}
    sources = [{"serviceAccountToken": token}, {"configMap": trust}]
    mount = {"name": "trimtab", "mountPath": MOUNT_PATH, "readOnly": True}
    address = {"name": "TRIMTAB_AGENT_URL", "value": f"https://{SERVICE}.{namespace}.svc:{PORT}"}
    spec = {
        "containers": [{"name": container, "env": [address], "volumeMounts": [mount]}],
        "volumes": [{"name": "trimtab", "projected": {"sources": sources}}],
    }
    return {"spec": {"template": {"spec": spec}}}
