"""What may not change now, and why; each names what would lift it."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import Quantization
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.freeze import frozen_by, unknown_time_zones
from trimtab_operator.analysis.quality import offered, on_gpu, refused_by_hardware
from trimtab_operator.model.analysis import Capacity, Constraint, Trust
from trimtab_operator.model.ledger import foreign_edits
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, Target, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES

UNSCHEDULABLE_SECONDS = 60.0
FIGHT_EDITS = 3
FIGHT_SECONDS = 600.0

FULL_UTILIZATION = 0.84
RELIEVED_UTILIZATION = 0.72


def constraints(
    snapshot: Snapshot, policy: OptimizationPolicy, trust: Trust, capacity: Capacity | None
) -> tuple[Constraint, ...]:
    """Collect every constraint that holds now."""
    found = [*spec_problems(policy)]
    if not isinstance(snapshot.target, TargetProblem):
        conflict = ownership(snapshot, snapshot.target, policy)
        found += [conflict] if conflict else []
        found += _cluster(snapshot, snapshot.target)
        found += _bounds(snapshot.target, policy, capacity)
        found += _knobs(snapshot.target, policy)
        found += _quality(snapshot, snapshot.target, policy)
    frozen = frozen_by(policy.spec, snapshot.now)
    if frozen is not None:
        until = f"until {frozen.to} {frozen.time_zone}"
        found.append(Constraint("Frozen", f"spec.freeze holds {until}: only what restores a guard is changed"))
    if not trust.trusted:
        found.append(Constraint("MetricsUntrusted", trust.message))
    return tuple(found)


def spec_problems(policy: OptimizationPolicy) -> tuple[Constraint, ...]:
    """Return what is wrong with the spec that the API server could not see."""
    found = [
        f"spec.freeze.timeZone {name!r} is not a known time zone: use a name such as UTC or Europe/Berlin"
        for name in unknown_time_zones(policy.spec)
    ]
    scaling = policy.spec.scaling
    if scaling is not None and scaling.min_replicas > scaling.max_replicas:
        found.append(
            f"spec.scaling.minReplicas {scaling.min_replicas} is larger than maxReplicas {scaling.max_replicas}"
        )
    return (Constraint("InvalidSpec", "; ".join(found)),) if found else ()


def ownership(snapshot: Snapshot, target: Target, policy: OptimizationPolicy) -> Constraint | None:
    """Say who else owns the target or its replicas; the name is a reason of the condition Conflict."""
    if snapshot.taken_by is not None:
        message = f"policy {snapshot.taken_by} is older and acts on the same target: delete one of the two"
        return Constraint("TargetTaken", message)
    if policy.spec.scaling is None:
        return None
    for owner in target.replicas_owners:
        conflict = _owner(owner, target)
        if conflict is not None:
            return conflict
    since = snapshot.now - FIGHT_SECONDS
    edits = foreign_edits(policy.status, since)
    if len(edits) >= FIGHT_EDITS:
        message = f"others changed the replicas {len(edits)} times in ten minutes, last: {edits[-1].why}"
        return Constraint("ForeignManager", f"{message}; stop the other writer, or remove spec.scaling")
    return None


def _owner(owner: ReplicasOwner, target: Target) -> Constraint | None:
    name = f"{target.kind} {target.namespace}/{target.name}"
    if owner.kind == "Manifest":
        message = (
            f"field manager {owner.name!r} applies spec.replicas of {name}: its next apply would undo a change; "
            f"remove the line `replicas: {target.replicas}` from the manifest and apply it once more"
        )
        return Constraint("ReplicasInManifest", message)
    if owner.kind == "Scale":  # somebody once set the number by hand: noted in the ledger, no claim to it
        return None
    return Constraint(
        owner.kind, f"{owner.kind} {owner.name!r} scales {name}: delete it, or remove spec.scaling of this policy"
    )


def _cluster(snapshot: Snapshot, target: Target) -> Iterator[Constraint]:
    if target.rolling_out:
        yield Constraint("RolloutInProgress", "a rollout of the target is under way: no replica is removed meanwhile")
    waiting = [
        pod
        for pod in target.pods
        if pod.unschedulable_since is not None and snapshot.now - pod.unschedulable_since > UNSCHEDULABLE_SECONDS
    ]
    if waiting:
        detail = waiting[0].unschedulable_message
        yield Constraint("UnschedulablePods", f"{len(waiting)} pods found no node for over a minute: {detail}"[:1024])


def _bounds(target: Target, policy: OptimizationPolicy, capacity: Capacity | None) -> Iterator[Constraint]:
    scaling = policy.spec.scaling
    if scaling is None:
        yield Constraint("NoScalingBlock", "spec.scaling is absent: replicas are left alone; set scaling.maxReplicas")
        return
    standing = any(each.name == "MaxReplicasReached" for each in policy.status.constraints)
    bound = RELIEVED_UTILIZATION if standing else FULL_UTILIZATION
    full = capacity is not None and capacity.utilization_ratio > bound
    if full and target.replicas >= scaling.max_replicas:
        message = f"all {scaling.max_replicas} replicas of spec.scaling.maxReplicas are in use and full: raise it"
        yield Constraint("MaxReplicasReached", message)


def _knobs(target: Target, policy: OptimizationPolicy) -> Iterator[Constraint]:
    """Name the knobs that are allowed and cannot be turned: none is accepted and ignored."""
    knobs, runtime = policy.spec.knobs, RUNTIMES.get(target.runtime)
    if knobs is None:
        return
    for name in ("batching", "cache"):
        if getattr(knobs, name) is not None and (runtime is None or not runtime.knobs):
            label = f"{name.capitalize()}NotAvailable"
            yield Constraint(label, f"spec.knobs.{name} is not turned on runtime {target.runtime}")


def _quality(snapshot: Snapshot, target: Target, policy: OptimizationPolicy) -> Iterator[Constraint]:
    """Name the formats and variants that are allowed and that the engines or their machines do not offer."""
    knobs = policy.spec.knobs
    if knobs is None:
        return
    if knobs.variants is not None:
        lacking = set(knobs.variants.allowed) - set(offered(snapshot, Knob.VARIANT))
        if lacking:
            names = ", ".join(sorted(lacking))
            yield Constraint("VariantsNotAvailable", f"spec.knobs.variants allows {names}, which not all engines offer")
    if knobs.quantization is None:
        return
    formats = offered(snapshot, Knob.QUANTIZATION)
    if not formats:
        yield Constraint("QuantizationNotAvailable", "spec.knobs.quantization: not all engines declare this knob")
    said = refused_by_hardware(snapshot, knobs.quantization.allowed)
    unoffered = set(knobs.quantization.allowed) - set(formats)
    if said is not None:
        yield Constraint("HardwareMismatch", said)
    elif formats and unoffered:
        names = ", ".join(sorted(unoffered))
        message = f"spec.knobs.quantization allows {names}, which not all engines offer on their machines"
        yield Constraint("HardwareMismatch", message)
    elif Quantization.FP8 in knobs.quantization.allowed and target.pods and not on_gpu(snapshot):
        yield Constraint(
            "HardwareMismatch",
            "spec.knobs.quantization allows FP8, which needs a GPU; the pods have none: remove FP8 or use GPU nodes",
        )
