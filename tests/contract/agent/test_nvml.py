"""The agent's NVML file against the real pynvml and a library with NVML's ABI.

SIMULATED: the readings are those of the fake library; no number here is a measurement.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.nvml.build import SONAME
from fakes.nvml.readings import SimulatedGpu

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"
BUSY = SimulatedGpu(
    A,
    utilization_ratio=0.87,
    memory_used_bytes=50_000,
    memory_total_bytes=100_000,
    power_watts=451.5,
    power_limit_watts=650.0,
    temperature_celsius=61,
    sm_clock_hertz=1_755e6,
    energy_joules=98765.432,
    throttle=("power_cap", "thermal"),
)


def test_every_reading_arrives_in_base_units(node: Any) -> None:
    node.write(BUSY)
    reading = node.reader().read()
    assert (reading["state"], reading["simulated"], reading["faults"]) == ("ok", True, 0)
    assert reading["gpus"] == [
        {
            "index": 0,
            "uuid": A,
            "name": "Simulated H200",
            "lost": False,
            "utilization_ratio": 0.87,
            "utilization_source": "busy_time",
            "memory_used_bytes": 50_000,
            "memory_total_bytes": 100_000,
            "power_watts": 451.5,
            "power_limit_watts": 650.0,
            "energy_joules": pytest.approx(98765.432),
            "temperature_celsius": 61,
            "sm_clock_hertz": 1_755e6,
            "throttled": {"power_cap": True, "thermal": True, "hardware": False},
            "mig_uuids": [],
            "dram_active_ratio": None,
            "tensor_active_ratio": None,
        }
    ]


def test_a_changed_readings_file_is_seen_at_the_next_read(node: Any) -> None:
    node.write(SimulatedGpu(A, utilization_ratio=0.1))
    reader = node.reader()
    assert reader.read()["gpus"][0]["utilization_ratio"] == 0.1
    node.write(SimulatedGpu(A, utilization_ratio=0.9), SimulatedGpu(B))
    assert [gpu["utilization_ratio"] for gpu in reader.read()["gpus"]] == [0.9, 0.0]


@pytest.mark.parametrize(
    ("unsupported", "absent"),
    [
        ("utilization", ["utilization_ratio", "utilization_source"]),
        ("memory", ["memory_used_bytes", "memory_total_bytes"]),
        ("power", ["power_watts"]),
        ("power_limit", ["power_limit_watts"]),
        ("energy", ["energy_joules"]),
        ("temperature", ["temperature_celsius"]),
        ("sm_clock", ["sm_clock_hertz"]),
        ("throttle", ["throttled"]),
    ],
)
def test_a_field_that_the_gpu_does_not_have_is_absent_alone(node: Any, unsupported: str, absent: list[str]) -> None:
    node.write(SimulatedGpu(A, unsupported=(unsupported,)), SimulatedGpu(B, no_permission=(unsupported,)))
    reading = node.reader().read()
    for gpu in reading["gpus"]:
        without_gpm = {"dram_active_ratio", "tensor_active_ratio"}
        assert {name for name, value in gpu.items() if value is None} == without_gpm | set(absent)
    assert reading["faults"] == 0


def test_a_lost_gpu_is_reported_and_does_not_stop_the_others(node: Any) -> None:
    node.write(SimulatedGpu(A, utilization_ratio=0.3), SimulatedGpu(B, utilization_ratio=0.4))
    reader = node.reader()
    reader.read()
    node.write(SimulatedGpu(A, lost=True), SimulatedGpu(B, utilization_ratio=0.5))
    reading = reader.read()
    assert reading["state"] == "ok"
    assert [(gpu["uuid"], gpu["lost"], gpu["utilization_ratio"]) for gpu in reading["gpus"]] == [
        (A, True, None),
        (B, False, 0.5),
    ]
    node.write(SimulatedGpu(A, utilization_ratio=0.3), SimulatedGpu(B))
    assert not reader.read()["gpus"][0]["lost"]


def test_sm_activity_is_used_where_the_gpu_has_it_from_the_second_sample_on(node: Any) -> None:
    node.write(SimulatedGpu(A, utilization_ratio=1.0, sm_activity_ratio=0.35))
    reader = node.reader()
    first, second = (reader.read()["gpus"][0] for _ in range(2))
    assert (first["utilization_ratio"], first["utilization_source"]) == (None, "sm_activity")
    assert (second["utilization_ratio"], second["utilization_source"]) == (pytest.approx(0.35), "sm_activity")


def test_activity_of_memory_and_tensor_pipes_is_read_where_gpm_has_it(node: Any) -> None:
    node.write(
        SimulatedGpu(A, sm_activity_ratio=0.9, dram_active_ratio=0.7, tensor_active_ratio=0.25),
        SimulatedGpu(B, sm_activity_ratio=0.9, dram_active_ratio=0.7),
    )
    reader = node.reader()
    _, second = (reader.read()["gpus"] for _ in range(2))
    seen = [(gpu["dram_active_ratio"], gpu["tensor_active_ratio"]) for gpu in second]
    assert seen == [(pytest.approx(0.7), pytest.approx(0.25)), (pytest.approx(0.7), None)]


def test_without_permission_for_gpm_busy_time_is_used_and_named(node: Any) -> None:
    node.write(SimulatedGpu(A, utilization_ratio=0.8, sm_activity_ratio=0.35, no_permission=("gpm",)))
    gpu = node.reader().read()["gpus"][0]
    assert (gpu["utilization_ratio"], gpu["utilization_source"]) == (0.8, "busy_time")


def test_the_uuids_of_mig_devices_are_listed_with_their_gpu(node: Any) -> None:
    node.write(SimulatedGpu(A, mig_uuids=("MIG-1", "MIG-2")), SimulatedGpu(B))
    assert [gpu["mig_uuids"] for gpu in node.reader().read()["gpus"]] == [["MIG-1", "MIG-2"], []]


def test_energy_is_power_integrated_over_time_where_the_file_says_none(node: Any) -> None:
    node.write(SimulatedGpu(A, power_watts=400))
    reader = node.reader()
    began = time.monotonic()
    first = reader.read()["gpus"][0]["energy_joules"]
    joules, deadline = first, began + 10
    while joules - first < 20 and time.monotonic() < deadline:
        joules = reader.read()["gpus"][0]["energy_joules"]
    assert 20 <= joules - first <= 400 * (time.monotonic() - began)


def test_a_node_without_the_library_has_no_driver_and_finds_it_after_the_back_off(node: Any, tmp_path: Path) -> None:
    node.write(BUSY)
    folder = tmp_path / "driver"
    folder.mkdir()
    reader = node.reader(folder)
    missing = reader.read(0)
    assert (missing["state"], missing["gpus"], missing["faults"]) == ("no_driver", [], 0)
    assert missing["reason"] == "NVML Shared Library Not Found"
    shutil.copy(node.library / SONAME, folder)
    assert reader.read(4.9)["state"] == "no_driver"
    assert reader.read(5)["state"] == "ok"


def test_the_back_off_doubles_up_to_five_minutes(node: Any) -> None:
    reader = node.reader()
    tried, now = [], 0.0
    for wait in (0, 5, 10, 20, 40, 80, 160, 300, 300):
        now += wait
        assert reader.read(now)["state"] == "no_driver"
        node.write(BUSY)
        tried.append(reader.read(now + 0.9 * wait)["state"])
        node.readings.unlink()
    assert set(tried) == {"no_driver"}
    node.write(BUSY)
    assert reader.read(now + 300)["state"] == "ok"


def test_a_driver_that_is_unloaded_while_we_read_is_a_state_and_comes_back(node: Any) -> None:
    node.write(BUSY)
    reader = node.reader()
    assert reader.read(0)["state"] == "ok"
    node.readings.unlink()
    assert reader.read(1)["state"] == "no_driver"
    node.write(BUSY)
    assert reader.read(6.1)["state"] == "ok"


def test_a_driver_without_gpus_is_no_gpu(node: Any) -> None:
    node.write()
    assert node.reader().read()["state"] == "no_gpu"


def test_the_library_says_that_it_is_simulated_in_symbol_and_name(node: Any) -> None:
    node.write(SimulatedGpu(A, name="NVIDIA H200"))
    code = """
import pynvml
pynvml.nvmlInit()
print(hasattr(pynvml.nvmlLib, "trimtab_nvml_is_simulated"))
print(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)))
"""
    assert node.python(code).splitlines() == ["True", "Simulated NVIDIA H200"]


def test_a_power_limit_that_is_set_holds_the_draw_down_in_every_process(node: Any) -> None:
    node.write(SimulatedGpu(A, power_watts=600))
    code = f"""
import pynvml
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByUUID("{A}")
print(pynvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu))
for milliwatts in (100_000, 900_000):
    try:
        pynvml.nvmlDeviceSetPowerManagementLimit(gpu, milliwatts)
    except pynvml.NVMLError_InvalidArgument:
        print("refused", milliwatts)
pynvml.nvmlDeviceSetPowerManagementLimit(gpu, 350_000)
print(pynvml.nvmlDeviceGetPowerManagementLimit(gpu), pynvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu))
"""
    expected = ["[200000, 700000]", "refused 100000", "refused 900000", "350000 700000"]
    assert node.python(code).splitlines() == expected
    gpu = node.reader().read()["gpus"][0]
    assert (gpu["power_limit_watts"], gpu["power_watts"], gpu["throttled"]["power_cap"]) == (350, 350, True)


def test_a_process_without_the_right_may_not_set_a_power_limit(node: Any) -> None:
    node.write(SimulatedGpu(A, no_permission=("power_limit_set",)))
    code = """
import pynvml
pynvml.nvmlInit()
try:
    pynvml.nvmlDeviceSetPowerManagementLimit(pynvml.nvmlDeviceGetHandleByIndex(0), 300_000)
except pynvml.NVMLError_NoPermission as error:
    print(error)
"""
    assert node.python(code).strip() == "Insufficient Permissions"


def test_an_unknown_gpu_and_a_call_that_is_not_there_answer_with_their_own_errors(node: Any) -> None:
    node.write(BUSY)
    code = f"""
import pynvml
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
memory = pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2)
print(memory.used, memory.free, pynvml.nvmlDeviceGetUUID(gpu) == "{A}")
for call in (
    lambda: pynvml.nvmlDeviceGetHandleByIndex(7),
    lambda: pynvml.nvmlDeviceGetHandleByUUID("GPU-none"),
    lambda: pynvml.nvmlDeviceGetFanSpeed(gpu),
):
    try:
        call()
    except pynvml.NVMLError as error:
        print(type(error).__name__)
pynvml.nvmlShutdown()
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError as error:
    print(type(error).__name__)
"""
    assert node.python(code).splitlines() == [
        "50000 50000 True",
        "NVMLError_InvalidArgument",
        "NVMLError_NotFound",
        "NVMLError_FunctionNotFound",
        "NVMLError_Uninitialized",
    ]
