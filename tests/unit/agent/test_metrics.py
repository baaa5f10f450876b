"""What /metrics shows of a snapshot: all of it, nothing else, and nothing stale."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from trimtab_agent.collector import Tick
from trimtab_agent.metrics import MAX_LABEL_LENGTH, TABLE, Instruments, WireReading, build_registry
from trimtab_agent.snapshot import (
    Assignment,
    ContainerReading,
    ContainerUsage,
    DriverReading,
    DriverState,
    GpuReading,
    PodName,
    PodTraffic,
    Snapshot,
    Source,
    SourceState,
    Traffic,
    UtilizationSource,
)

POD = PodName("prod", "chat-0")
GPU = GpuReading(
    0, "GPU-a", "Simulated H200", False, 0.5, UtilizationSource.SM_ACTIVITY, 10, 100, 350.5, 700.0, 1234.5, 41, 1.98e9,
    {"power_cap": True, "thermal": False, "hardware": False}, (), 0.6, 0.2,
)  # fmt: skip
FULL = Snapshot(
    taken_at_seconds=0.0,
    driver=DriverReading(DriverState.OK, True, (GPU,)),
    containers=(ContainerReading(POD, "uid-1", "server", ContainerUsage(1.5, 0.5, 10, 2, 0.25, 2000, 8000, 1)),),
    pods=(PodTraffic(POD, "uid-1", Traffic(1020, 406)),),
    assignments=(Assignment(POD, "server", "GPU-a", 0),),
    source_states={Source.NVML: SourceState.OK},
)
WIRE = WireReading(attached=2, lost=1, synced=True, certificate_expires_seconds=1.8e9)
ON_GPU = {"gpu": "0", "uuid": "GPU-a", "simulated": "true"}
ON_CONTAINER = {"namespace": "prod", "pod": "chat-0", "pod_uid": "uid-1", "container": "server"}
ON_POD = {"namespace": "prod", "pod": "chat-0", "pod_uid": "uid-1"}


def rendered(snapshot: Snapshot | None, instruments: Instruments | None = None, wire: WireReading | None = None) -> str:
    def read() -> WireReading:
        assert wire is not None
        return wire

    registry = build_registry(
        lambda: snapshot, instruments or Instruments(), "node-1", "0.1.0", read if wire is not None else None
    )
    return generate_latest(registry).decode()


def samples(
    snapshot: Snapshot | None, instruments: Instruments | None = None, wire: WireReading | None = None
) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(rendered(snapshot, instruments, wire)):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_a_full_snapshot_shows_every_row_of_the_table() -> None:
    instruments = Instruments()
    instruments.count_wire_request("settings", "document")
    instruments.count_status_write("written")
    shown = set(samples(FULL, instruments, WIRE))
    expected = {row.name for row in TABLE if row.kind != "histogram"} | {"trimtab_agent_collect_seconds_count"}
    assert expected <= shown
    allowed = ("process_", "trimtab_agent_collect_seconds_")
    assert {name for name in shown - expected if not name.startswith(allowed)} == set()


def test_readings_are_shown_in_base_units_with_their_labels() -> None:
    found = samples(FULL)
    assert found["trimtab_agent_gpu_driver"] == [({"state": "ok"}, 1)]
    assert found["trimtab_agent_gpu_utilization_ratio"] == [(ON_GPU, 0.5)]
    assert found["trimtab_agent_gpu_dram_active_ratio"] == [(ON_GPU, 0.6)]
    assert found["trimtab_agent_gpu_tensor_active_ratio"] == [(ON_GPU, 0.2)]
    assert found["trimtab_agent_gpu_power_watts"] == [(ON_GPU, 350.5)]
    assert found["trimtab_agent_gpu_energy_joules_total"] == [(ON_GPU, 1234.5)]
    assert found["trimtab_agent_gpu_sm_clock_hertz"] == [(ON_GPU, 1.98e9)]
    assert found["trimtab_agent_gpu_throttled"][0] == ({**ON_GPU, "reason": "power_cap"}, 1)
    model = {**ON_GPU, "name": "Simulated H200", "utilization_source": "sm_activity"}
    assert found["trimtab_agent_gpu_model"] == [(model, 1)]
    holder = {**ON_GPU, "namespace": "prod", "pod": "chat-0", "container": "server"}
    assert found["trimtab_agent_gpu_assigned"] == [(holder, 1)]
    assert found["trimtab_agent_container_cpu_seconds_total"] == [(ON_CONTAINER, 1.5)]
    assert found["trimtab_agent_container_cpu_throttled_seconds_total"] == [(ON_CONTAINER, 0.25)]
    assert found["trimtab_agent_container_oom_kills_total"] == [(ON_CONTAINER, 1)]
    assert found["trimtab_agent_pod_network_transmit_bytes_total"] == [(ON_POD, 406)]
    build = {"node": "node-1", "version": "0.1.0", "simulated": "true"}
    assert found["trimtab_agent_node_build"] == [(build, 1)]


def test_what_was_not_read_is_absent_and_never_zero() -> None:
    bare = Snapshot(
        taken_at_seconds=0.0,
        driver=DriverReading(DriverState.OK, False, (GpuReading(0, "GPU-a"),)),
        containers=(ContainerReading(POD, "uid-1", "server", ContainerUsage()),),
    )
    shown = {name for name in samples(bare) if name.startswith(("trimtab_agent_gpu", "trimtab_agent_container"))}
    assert shown == {"trimtab_agent_gpu_driver", "trimtab_agent_gpu_lost"}


def test_a_lost_gpu_is_shown_as_lost_beside_the_others() -> None:
    gpus = (GpuReading(0, "GPU-a", lost=True), GpuReading(1, "GPU-b", utilization_ratio=0.25))
    found = samples(Snapshot(0.0, DriverReading(DriverState.OK, False, gpus)))
    assert [value for _, value in found["trimtab_agent_gpu_lost"]] == [1, 0]
    assert [labels["gpu"] for labels, _ in found["trimtab_agent_gpu_utilization_ratio"]] == ["1"]


def test_without_a_fresh_snapshot_nothing_that_was_read_is_shown() -> None:
    shown = {name for name in samples(None) if not name.startswith(("process_", "trimtab_agent_collect"))}
    assert shown == {"trimtab_agent_node_build"}


def test_errors_start_at_zero_for_every_source_and_are_counted() -> None:
    instruments = Instruments()
    name = "trimtab_agent_collect_errors_total"
    assert {labels["source"]: value for labels, value in samples(None, instruments)[name]} == dict.fromkeys(Source, 0)
    instruments.observe(Tick(0.02, {Source.NVML: 2, Source.CGROUP: 0}))
    found = samples(None, instruments)
    assert {labels["source"]: value for labels, value in found[name]}["nvml"] == 2
    assert found["trimtab_agent_collect_seconds_count"] == [({}, 1)]


def test_a_label_is_never_longer_than_a_name_can_be() -> None:
    monster = ContainerReading(PodName("n" * 400, "p" * 400), "u", "c", ContainerUsage(cpu_seconds=1))
    found = samples(Snapshot(0.0, DriverReading(DriverState.NO_DRIVER), containers=(monster,)))
    labels, _ = found["trimtab_agent_container_cpu_seconds_total"][0]
    assert {len(labels["namespace"]), len(labels["pod"])} == {MAX_LABEL_LENGTH}


def test_a_gpu_that_nvml_does_not_know_is_assigned_without_an_index() -> None:
    snapshot = Snapshot(
        0.0, DriverReading(DriverState.NO_DRIVER), assignments=(Assignment(POD, "server", "GPU-x", None),)
    )
    labels, _ = samples(snapshot)["trimtab_agent_gpu_assigned"][0]
    assert (labels["gpu"], labels["uuid"], labels["simulated"]) == ("", "GPU-x", "false")


def test_the_wire_shows_its_engines_by_state_and_no_certificate_as_absent() -> None:
    found = samples(FULL, None, WIRE)
    assert found["trimtab_agent_engines"] == [({"state": "attached"}, 2), ({"state": "lost"}, 1)]
    assert found["trimtab_agent_tuning_synced"] == [({}, 1)]
    assert found["trimtab_agent_certificate_expires_seconds"] == [({}, 1.8e9)]
    bare = samples(FULL, None, WireReading(0, 0, synced=False, certificate_expires_seconds=None))
    assert bare["trimtab_agent_tuning_synced"] == [({}, 0)]
    assert "trimtab_agent_certificate_expires_seconds" not in bare


def test_without_a_wire_nothing_is_said_of_engines() -> None:
    told = ("trimtab_agent_engines", "trimtab_agent_tuning", "trimtab_agent_wire", "trimtab_agent_status_writes")
    assert not [name for name in samples(FULL) if name.startswith(told)]


def test_the_reference_page_names_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "agent.md").read_text()
    for row in TABLE:
        ending = re.sub(r"^trimtab_agent_(gpu|container|pod)(?=_)", "", row.name)
        assert f"`{row.name}`" in page or f"`{ending}`" in page, row.name


def test_every_name_ends_as_prometheus_asks_and_every_help_names_its_labels() -> None:
    for row in TABLE:
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert all(label in row.help for label in row.labels), row.name
    assert len({row.name for row in TABLE}) == len(TABLE)
