"""The most that this card does, measured: large products in each number format, a large copy, and what GPM says then.

Data are random: on zeros a card is faster. Products are of 8192 x 8192 matrices; a copy counts bytes read and written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import ParamSpec, TypeVar

import torch

from bench.engine.results import Result
from trimtab_agent.nvml import Nvml
from trimtab_agent.snapshot import GpuReading

SIDE = 8192
COPIED_BYTES = 4 << 30
_WARM_UP, _REPEATS = 3, 30
_ACTIVITY_SECONDS = 3.0
DEVICE = torch.device("cuda:0")

Work = Callable[[], object]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Ceilings:
    """Operations per second by number format, and bytes per second."""

    flops_per_second: Mapping[str, float]
    bytes_per_second: float


def measure() -> tuple[Ceilings, list[Result]]:
    """Return the ceilings, and the rows that print them."""
    works = products()
    flops = {name: 2.0 * SIDE**3 / seconds_of(work) for name, work in works.items()}
    moved = copying()
    found = Ceilings(flops, 2.0 * COPIED_BYTES / seconds_of(moved))
    return found, [_ceilings_row(found), _activity_row(activity(works["bf16"]), activity(moved))]


def products() -> dict[str, Work]:
    """Return a large product in each number format."""
    dice = torch.Generator(DEVICE).manual_seed(1)
    a, b = (torch.randn(SIDE, SIDE, device=DEVICE, generator=dice) for _ in range(2))
    a16, b16 = a.bfloat16(), b.bfloat16()
    a8, b8 = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
    integers_a, integers_b = (20 * a).to(torch.int8), (20 * b).to(torch.int8).t()
    scales = torch.ones(SIDE, 1, device=DEVICE)
    return {
        "fp32": lambda: a @ b,
        "tf32": in_tf32(lambda: a @ b),
        "bf16": lambda: a16 @ b16,
        "int8": lambda: torch._int_mm(integers_a, integers_b),
        "fp8": lambda: torch._scaled_mm(a8, b8, scales, scales.t(), out_dtype=torch.bfloat16, use_fast_accum=True),
    }


def in_tf32(work: Callable[P, T]) -> Callable[P, T]:
    """Let float32 products be computed in TF32 while this work is queued."""

    def run(*arguments: P.args, **more: P.kwargs) -> T:
        torch.set_float32_matmul_precision("high")
        try:
            return work(*arguments, **more)
        finally:
            torch.set_float32_matmul_precision("highest")

    return run


def copying() -> Work:
    """Return a copy within the device's memory."""
    source = torch.randint(0, 255, (COPIED_BYTES,), dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def seconds_of(work: Work) -> float:
    """Return the median seconds of some work on the device, timed there."""
    for _ in range(_WARM_UP):
        work()
    marks = [torch.Event("cuda", enable_timing=True) for _ in range(_REPEATS + 1)]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize()
    return median(before.elapsed_time(after) for before, after in pairwise(marks)) / 1e3


def activity(work: Work) -> GpuReading:
    """Return what the agent reads over three seconds in which nothing but this runs."""
    agent = Nvml(time.monotonic)
    work()
    torch.cuda.synchronize()
    agent.read()
    end = time.monotonic() + _ACTIVITY_SECONDS
    while time.monotonic() < end:
        work()
        torch.cuda.synchronize()
    return agent.read().gpus[0]


def _ceilings_row(found: Ceilings) -> Result:
    tera = {f"{name}_teraflops": value / 1e12 for name, value in found.flops_per_second.items()}
    tera["copy_terabytes_per_second"] = found.bytes_per_second / 1e12
    words = ", ".join(f"{name} {value / 1e12:.0f}" for name, value in found.flops_per_second.items())
    return Result(
        "GPU: ceilings, bf16 TFLOP/s",
        trimtab=tera["bf16_teraflops"],
        contenders=tera,
        note=f"TFLOP/s {words}; copy {found.bytes_per_second / 1e12:.2f} TB/s",
    )


def _activity_row(product: GpuReading, copy: GpuReading) -> Result:
    known = {
        "product_tensor_active": product.tensor_active_ratio,
        "product_sm_active": product.utilization_ratio,
        "copy_dram_active": copy.dram_active_ratio,
        "copy_sm_active": copy.utilization_ratio,
        "product_watts": product.power_watts,
        "copy_watts": copy.power_watts,
    }
    words = ", ".join(f"{name} {'absent' if value is None else f'{value:.3g}'}" for name, value in known.items())
    name = "GPU: activity at the ceilings, tensor pipes"
    return Result(name, trimtab=product.tensor_active_ratio, contenders=known, note=words)
