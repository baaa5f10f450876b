"""One snapshot out of what the sources read, and what is told about it."""

from __future__ import annotations

import dataclasses

import pytest

from trimtab_agent.compose import assign, changes, compose
from trimtab_agent.snapshot import (
    AssignedDevice,
    Assignment,
    DevicesReading,
    DriverReading,
    DriverState,
    GpuReading,
    NodeReading,
    PodName,
    Snapshot,
    Source,
    SourceState,
)

POD = PodName("prod", "chat-0")
GPUS = (GpuReading(0, "GPU-aaa"), GpuReading(1, "GPU-bbb", mig_uuids=("MIG-1", "MIG-2")))


DRIVER, NODE, DEVICES = DriverReading(DriverState.OK, gpus=GPUS), NodeReading(), DevicesReading()


@pytest.mark.parametrize(
    ("device_id", "uuid", "index"),
    [
        pytest.param("GPU-aaa", "GPU-aaa", 0, id="uuid"),
        pytest.param("GPU-aaa::3", "GPU-aaa", 0, id="time-sliced"),
        pytest.param("MIG-2", "MIG-2", 1, id="mig"),
        pytest.param("1", "GPU-bbb", 1, id="index"),
        pytest.param("GPU-gone", "GPU-gone", None, id="unknown-to-nvml"),
    ],
)
def test_a_device_id_names_its_gpu(device_id: str, uuid: str, index: int | None) -> None:
    assert assign([AssignedDevice(POD, "server", device_id)], GPUS) == (Assignment(POD, "server", uuid, index),)


def test_two_slices_of_one_gpu_in_one_container_are_one_assignment() -> None:
    devices = [AssignedDevice(POD, "server", f"GPU-aaa::{number}") for number in range(2)]
    assert len(assign(devices, GPUS)) == 1


def a_snapshot(
    driver: DriverReading | SourceState = DRIVER,
    node: NodeReading | SourceState = NODE,
    devices: DevicesReading | SourceState = DEVICES,
) -> Snapshot:
    return compose(1.0, driver, node, devices)


@pytest.mark.parametrize("state", [SourceState.ERROR, SourceState.TIMEOUT])
def test_a_source_that_gave_no_reading_does_not_touch_the_others(state: SourceState) -> None:
    devices = DevicesReading((AssignedDevice(POD, "server", "GPU-aaa"),))
    snapshot = a_snapshot(node=state, devices=devices)
    assert snapshot.source_states == {
        Source.NVML: SourceState.OK,
        Source.CGROUP: state,
        Source.NETWORK: state,
        Source.POD_RESOURCES: SourceState.OK,
    }
    assert len(snapshot.assignments) == 1
    assert snapshot.driver.gpus == GPUS


def test_a_driver_that_hangs_is_a_driver_error_without_gpus() -> None:
    snapshot = a_snapshot(driver=SourceState.TIMEOUT)
    assert snapshot.driver.state is DriverState.ERROR
    assert snapshot.driver.gpus == ()
    assert snapshot.source_states[Source.NVML] is SourceState.TIMEOUT


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (DriverState.OK, SourceState.OK),
        (DriverState.NO_DRIVER, SourceState.MISSING),
        (DriverState.NO_GPU, SourceState.MISSING),
        (DriverState.ERROR, SourceState.ERROR),
    ],
)
def test_a_node_without_a_driver_is_not_an_error(state: DriverState, expected: SourceState) -> None:
    assert a_snapshot(driver=DriverReading(state)).source_states[Source.NVML] is expected


def test_the_first_tick_tells_every_state_and_a_steady_one_tells_nothing() -> None:
    first = a_snapshot()
    assert len(changes(None, first)) == 1 + len(Source)
    assert changes(first, a_snapshot()) == []


def test_a_missing_socket_is_told_once() -> None:
    before, missing = a_snapshot(), a_snapshot(devices=DevicesReading(state=SourceState.MISSING))
    told = changes(before, missing)
    assert [dict(change.values) for change in told] == [{"source": "pod_resources", "state": "missing"}]
    assert not told[0].is_loss
    assert changes(missing, missing) == []


def test_a_lost_gpu_is_told_when_it_is_lost_and_when_it_answers_again() -> None:
    lost = (dataclasses.replace(GPUS[0], lost=True), GPUS[1])
    before, after = a_snapshot(), a_snapshot(driver=DriverReading(DriverState.OK, gpus=lost))
    assert [(change.message, change.is_loss) for change in changes(before, after)] == [("gpu lost", True)]
    assert changes(after, after) == []
    assert [change.message for change in changes(after, before)] == ["gpu answers again"]


def test_a_driver_that_stops_answering_is_told_with_its_reason() -> None:
    gone = a_snapshot(driver=DriverReading(DriverState.ERROR, reason="RM has detected an NVML/RM version mismatch."))
    told = next(change for change in changes(a_snapshot(), gone) if change.message == "gpu driver state")
    assert told.values["reason"] == "RM has detected an NVML/RM version mismatch."
    assert told.is_loss
