"""Usage out of cgroup file texts, v1 and v2."""

from __future__ import annotations

import pytest

from trimtab_agent.cgroup_stats import usage_v1, usage_v2
from trimtab_agent.snapshot import ContainerUsage

V1 = {
    "cpuacct.usage": "1500000000\n",
    "cpu.stat": "nr_periods 120\nnr_throttled 30\nthrottled_time 2500000000\n",
    "cpu.cfs_quota_us": "150000\n",
    "cpu.cfs_period_us": "100000\n",
    "memory.usage_in_bytes": "1000000\n",
    "memory.stat": "cache 5\ninactive_file 7\ntotal_inactive_file 400000\n",
    "memory.limit_in_bytes": "134217728\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\nnr_periods 120\nnr_throttled 30\nthrottled_usec 2500000\n",
    "cpu.max": "150000 100000\n",
    "memory.current": "1000000\n",
    "memory.stat": "anon 5\ninactive_file 400000\n",
    "memory.max": "134217728\n",
    "memory.events": "low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\n",
}
USAGE = ContainerUsage(
    cpu_seconds=1.5,
    cpu_limit_cores=1.5,
    cpu_periods=120,
    cpu_throttled_periods=30,
    cpu_throttled_seconds=2.5,
    memory_working_set_bytes=600_000,
    memory_limit_bytes=134217728,
    oom_kills=2,
)


def test_both_versions_tell_the_same_usage() -> None:
    assert usage_v1(V1) == USAGE
    assert usage_v2(V2) == USAGE


@pytest.mark.parametrize("field", ["cpu_limit_cores", "memory_limit_bytes"])
def test_no_limit_is_absent_and_not_a_number(field: str) -> None:
    unlimited_v1 = V1 | {"cpu.cfs_quota_us": "-1\n", "memory.limit_in_bytes": "9223372036854771712\n"}
    unlimited_v2 = V2 | {"cpu.max": "max 100000\n", "memory.max": "max\n"}
    assert getattr(usage_v1(unlimited_v1), field) is None
    assert getattr(usage_v2(unlimited_v2), field) is None


def test_files_that_are_missing_leave_their_fields_absent() -> None:
    assert usage_v1({}) == ContainerUsage()
    assert usage_v2({}) == ContainerUsage()
    assert usage_v2({"cpu.stat": "usage_usec 2000000\n"}) == ContainerUsage(cpu_seconds=2.0)


def test_a_working_set_without_the_inactive_pages_is_not_guessed() -> None:
    assert usage_v2({"memory.current": "1000\n"}).memory_working_set_bytes is None


def test_a_working_set_is_never_negative() -> None:
    assert usage_v2(V2 | {"memory.current": "100\n"}).memory_working_set_bytes == 0


def test_a_kernel_without_the_kill_counter_leaves_it_absent() -> None:
    assert usage_v1(V1 | {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}).oom_kills is None


@pytest.mark.parametrize("text", ["", "garbage", "nr_periods\n", "nr_periods many\n"])
def test_a_garbled_file_is_absent(text: str) -> None:
    assert usage_v1({"cpu.stat": text}).cpu_periods is None
    assert usage_v2({"cpu.max": text}).cpu_limit_cores is None
