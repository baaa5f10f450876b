"""On a real GPU: what the agent reads of activity, energy and power is what the GPU does. Nothing is set."""

from __future__ import annotations

import time
from collections.abc import Callable

import pynvml
import torch

from trimtab_agent.nvml import Nvml
from trimtab_agent.snapshot import GpuReading, UtilizationSource

BUSY_SECONDS = 2.0
SIDE = 8192


def reading_under(work: Callable[[], object]) -> tuple[GpuReading, GpuReading, float]:
    """The first GPU before and after two seconds of this work alone, and the seconds between the two readings."""
    agent = Nvml(time.monotonic)
    work()
    torch.cuda.synchronize()
    before, began = agent.read().gpus[0], time.monotonic()
    while time.monotonic() < began + BUSY_SECONDS:
        work()
        torch.cuda.synchronize()
    after, seconds = agent.read().gpus[0], time.monotonic() - began
    print(f"{after}, {seconds:.2f} s")
    return before, after, seconds


def a_large_product() -> Callable[[], object]:
    a, b = (torch.randn(SIDE, SIDE, dtype=torch.bfloat16, device="cuda:0") for _ in range(2))
    return lambda: a @ b


def a_large_copy() -> Callable[[], object]:
    source = torch.ones(1 << 30, dtype=torch.uint8, device="cuda:0")
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def test_a_large_product_keeps_the_multiprocessors_and_tensor_pipes_busy_and_a_copy_the_memory() -> None:
    _, product, _ = reading_under(a_large_product())
    _, copy, _ = reading_under(a_large_copy())
    assert product.utilization_source is copy.utilization_source is UtilizationSource.SM_ACTIVITY
    assert product.utilization_ratio is not None
    assert product.utilization_ratio > 0.7
    assert product.tensor_active_ratio is not None
    assert copy.tensor_active_ratio is not None
    assert product.tensor_active_ratio > 0.5 > copy.tensor_active_ratio
    assert product.dram_active_ratio is not None
    assert copy.dram_active_ratio is not None
    assert copy.dram_active_ratio > 0.6 > product.dram_active_ratio


def test_the_energy_counter_grows_by_the_power_that_is_drawn() -> None:
    before, after, seconds = reading_under(a_large_product())
    assert before.energy_joules is not None
    assert after.energy_joules is not None
    assert after.power_limit_watts is not None
    watts = (after.energy_joules - before.energy_joules) / seconds
    print(f"{watts:.0f} W by the energy counter, {after.power_watts} W read, limit {after.power_limit_watts} W")
    assert 100 < watts < 1.2 * after.power_limit_watts


def test_the_power_limit_lies_within_what_the_driver_lets_one_set() -> None:
    agent = Nvml(time.monotonic)
    limit_watts = agent.read().gpus[0].power_limit_watts
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    least, most = (milliwatts / 1000 for milliwatts in pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle))
    print(f"{limit_watts} W of {least:.0f} to {most:.0f} W")
    assert limit_watts is not None
    assert 0 < least <= limit_watts <= most


def test_memory_that_is_taken_is_read_as_used() -> None:
    taken_bytes = 2 << 30
    agent = Nvml(time.monotonic)
    torch.cuda.empty_cache()
    before = agent.read().gpus[0].memory_used_bytes
    held = torch.ones(taken_bytes, dtype=torch.uint8, device="cuda:0")
    after = agent.read().gpus[0].memory_used_bytes
    assert held.nbytes == taken_bytes
    assert before is not None
    assert after is not None
    assert after - before >= 0.9 * taken_bytes
