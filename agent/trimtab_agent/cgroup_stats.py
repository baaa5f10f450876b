"""Turns the texts of cgroup files, v1 and v2, into the usage of a container: pure, no file is opened here.

Meaning of the files: Linux kernel documentation, admin-guide/cgroup-v2 and admin-guide/cgroup-v1. The working set is
memory usage less inactive file pages, as the kubelet computes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from trimtab_agent.snapshot import ContainerUsage

UNLIMITED_FROM = 2**62
"""v1 writes the largest page-aligned number where there is no limit; no machine has 4 EiB."""

V1_CPU_FILES = ("cpu.stat", "cpu.cfs_quota_us", "cpu.cfs_period_us")
V1_CPUACCT_FILES = ("cpuacct.usage",)
V1_MEMORY_FILES = ("memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes", "memory.oom_control")
V2_FILES = ("cpu.stat", "cpu.max", "memory.current", "memory.stat", "memory.max", "memory.events")

Texts = Mapping[str, str]
"""File name -> text; a file that could not be read is not in it."""


def usage_v1(texts: Texts) -> ContainerUsage:
    """Return the usage that cgroup v1 files tell; nanoseconds become seconds."""
    cpu = _pairs(texts.get("cpu.stat", ""))
    memory = _pairs(texts.get("memory.stat", ""))
    throttled_nanoseconds = cpu.get("throttled_time")
    inactive = memory.get("total_inactive_file", memory.get("inactive_file"))
    return ContainerUsage(
        cpu_seconds=_scaled(_number(texts.get("cpuacct.usage")), 1e-9),
        cpu_limit_cores=_cores(texts.get("cpu.cfs_quota_us"), texts.get("cpu.cfs_period_us")),
        cpu_periods=cpu.get("nr_periods"),
        cpu_throttled_periods=cpu.get("nr_throttled"),
        cpu_throttled_seconds=_scaled(throttled_nanoseconds, 1e-9),
        memory_working_set_bytes=_working_set(_number(texts.get("memory.usage_in_bytes")), inactive),
        memory_limit_bytes=_limit(texts.get("memory.limit_in_bytes")),
        oom_kills=_pairs(texts.get("memory.oom_control", "")).get("oom_kill"),
    )


def usage_v2(texts: Texts) -> ContainerUsage:
    """Return the usage that cgroup v2 files tell; microseconds become seconds."""
    cpu = _pairs(texts.get("cpu.stat", ""))
    quota, _, period = texts.get("cpu.max", "").strip().partition(" ")
    return ContainerUsage(
        cpu_seconds=_scaled(cpu.get("usage_usec"), 1e-6),
        cpu_limit_cores=_cores(quota, period),
        cpu_periods=cpu.get("nr_periods"),
        cpu_throttled_periods=cpu.get("nr_throttled"),
        cpu_throttled_seconds=_scaled(cpu.get("throttled_usec"), 1e-6),
        memory_working_set_bytes=_working_set(
            _number(texts.get("memory.current")), _pairs(texts.get("memory.stat", "")).get("inactive_file")
        ),
        memory_limit_bytes=_limit(texts.get("memory.max")),
        oom_kills=_pairs(texts.get("memory.events", "")).get("oom_kill"),
    )


def _pairs(text: str) -> dict[str, int]:
    """Return the `key number` lines of a flat-keyed file."""
    pairs = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        number = _number(value)
        if number is not None:
            pairs[key] = number
    return pairs


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _working_set(usage: int | None, inactive_file: int | None) -> int | None:
    return None if usage is None or inactive_file is None else max(usage - inactive_file, 0)


def _limit(text: str | None) -> int | None:
    limit = _number(text)
    return None if limit is None or limit >= UNLIMITED_FROM else limit


def _cores(quota: str | None, period: str | None) -> float | None:
    """CPU limit in cores; a quota of -1 or `max` is none."""
    quota_us, period_us = _number(quota), _number(period)
    if quota_us is None or not period_us or quota_us <= 0:
        return None
    return quota_us / period_us
