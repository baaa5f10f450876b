"""Composes one snapshot out of what the sources read, and says what changed since the one before: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trimtab_agent.snapshot import (
    AssignedDevice,
    Assignment,
    DevicesReading,
    DriverReading,
    DriverState,
    GpuReading,
    NodeReading,
    Snapshot,
    Source,
    SourceState,
)

_DRIVER_SOURCE_STATES = {
    DriverState.OK: SourceState.OK,
    DriverState.NO_DRIVER: SourceState.MISSING,
    DriverState.NO_GPU: SourceState.MISSING,
    DriverState.ERROR: SourceState.ERROR,
}


@dataclass(frozen=True)
class Change:
    """Something that is worth one log line: a constant message and its values."""

    message: str
    values: Mapping[str, object]
    is_loss: bool


def compose(
    now_seconds: float,
    driver: DriverReading | SourceState,
    node: NodeReading | SourceState,
    devices: DevicesReading | SourceState,
) -> Snapshot:
    """Return the snapshot of one tick; a source that gave no reading stands as the state that says why."""
    gpus = driver if isinstance(driver, DriverReading) else DriverReading(DriverState.ERROR)
    pods = node if isinstance(node, NodeReading) else NodeReading(cgroup_state=node, network_state=node)
    held = devices if isinstance(devices, DevicesReading) else DevicesReading(state=devices)
    return Snapshot(
        taken_at_seconds=now_seconds,
        driver=gpus,
        containers=pods.containers,
        pods=pods.pods,
        assignments=assign(held.devices, gpus.gpus),
        source_states={
            Source.NVML: driver if isinstance(driver, SourceState) else _DRIVER_SOURCE_STATES[driver.state],
            Source.CGROUP: pods.cgroup_state,
            Source.NETWORK: pods.network_state,
            Source.POD_RESOURCES: held.state,
        },
    )


def assign(devices: Sequence[AssignedDevice], gpus: Sequence[GpuReading]) -> tuple[Assignment, ...]:
    """Tell which container holds which GPU.

    A device plugin names devices by UUID (also of a MIG device), or by index where it is told to; time-slicing appends
    `::<replica>`, so that several ids are one GPU.
    """
    by_id = {str(gpu.index): (gpu.uuid, gpu.index) for gpu in gpus}
    for gpu in gpus:
        by_id.update({uuid: (uuid, gpu.index) for uuid in (gpu.uuid, *gpu.mig_uuids) if uuid})
    assignments: dict[Assignment, None] = {}
    for device in devices:
        device_id = device.device_id.partition("::")[0]
        uuid, index = by_id.get(device_id, (device_id, None))
        assignments[Assignment(device.name, device.container, uuid, index)] = None
    return tuple(assignments)


def changes(before: Snapshot | None, after: Snapshot) -> list[Change]:
    """List state changes between two ticks, each told once; at the first tick every state is told."""
    told = []
    old_driver = None if before is None else before.driver.state
    if after.driver.state is not old_driver:
        values = {"state": after.driver.state, "gpus": len(after.driver.gpus), "simulated": after.driver.simulated}
        if after.driver.reason is not None:
            values["reason"] = after.driver.reason
        told.append(Change("gpu driver state", values, after.driver.state is DriverState.ERROR))
    for source, state in after.source_states.items():
        if before is None or before.source_states.get(source) is not state:
            is_loss = state in (SourceState.ERROR, SourceState.TIMEOUT)
            told.append(Change("source state", {"source": source, "state": state}, is_loss))
    lost_before = set() if before is None else _lost(before)
    lost_now = _lost(after)
    told.extend(
        Change("gpu lost", {"gpu": gpu, "uuid": uuid}, is_loss=True) for gpu, uuid in sorted(lost_now - lost_before)
    )
    if after.driver.state is DriverState.OK:
        back = sorted(lost_before - lost_now)
        told.extend(Change("gpu answers again", {"gpu": gpu, "uuid": uuid}, is_loss=False) for gpu, uuid in back)
    return told


def _lost(snapshot: Snapshot) -> set[tuple[int, str]]:
    return {(gpu.index, gpu.uuid) for gpu in snapshot.driver.gpus if gpu.lost}
