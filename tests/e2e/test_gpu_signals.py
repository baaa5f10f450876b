"""SIMULATED GPU readings, through the real pynvml, agent and Prometheus, change the diagnosis and the replicas."""

from __future__ import annotations

from harness.cluster import eventually
from harness.room import Room
from harness.workload import deployment, policy


def bottleneck(room: Room) -> str:
    return str(room.status().get("bottleneck", {}).get("kind", ""))


def test_a_busy_gpu_is_diagnosed_as_compute_and_answered_with_a_replica(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.1)
    room.apply(deployment(engine_image), policy())
    room.wait_ready(1)
    room.wait_trusted()
    eventually(lambda: bottleneck(room) == "Underused", "an idle GPU is underused", 60)
    room.gpus.set(room.namespace, gpus=1.4)
    room.wait_replicas(2, seconds=60)
    eventually(lambda: bottleneck(room) == "Compute", "a full GPU is the bottleneck", 60)
    evidence = room.status()["bottleneck"]["evidence"]
    assert any("gpu" in item["signal"] and "trimtab_agent_gpu" in item["query"] for item in evidence), evidence


def test_full_gpu_memory_is_a_violated_objective_and_changes_the_diagnosis(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.5, memory_ratio=0.5)
    objectives = {"gpuMemoryRatio": {"max": "0.90"}}
    room.apply(deployment(engine_image), policy(objectives=objectives))
    room.wait_ready(1)
    room.wait_condition("ObjectivesMet", "True", "AllMet", seconds=90)
    room.gpus.set(room.namespace, gpus=0.5, memory_ratio=0.97)
    message = room.wait_condition("ObjectivesMet", "False", "Violated", seconds=60)
    assert "gpuMemoryRatio" in message
    eventually(lambda: bottleneck(room) == "GpuMemory", "memory is the bottleneck", 60)
    eventually(lambda: room.replicas() > 1, "more replicas share the memory", 60)
