"""The simulated GPU device plugin against a registration server of the test's own (e2e has the real kubelet)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import pytest
from fakes.device_plugin import ENDPOINT, SimulatedGpuPlugin
from fakes.deviceplugin_pb2 import (
    AllocateRequest,
    AllocateResponse,
    ContainerAllocateRequest,
    Empty,
    ListAndWatchResponse,
    RegisterRequest,
)
from fakes.nvml.readings import SimulatedGpu, write_readings

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"


class Kubelet:
    """The kubelet's side of the folder of device plugins."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "device-plugins"
        self.folder.mkdir()
        self.registered: Queue[RegisterRequest] = Queue()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Start as a kubelet does: wipe the folder, then listen."""
        for path in self.folder.iterdir():
            path.unlink(missing_ok=True)  # the plugin removes its own when it sees the kubelet go
        register = grpc.unary_unary_rpc_method_handler(
            self._register, RegisterRequest.FromString, Empty.SerializeToString
        )
        server = grpc.server(ThreadPoolExecutor(max_workers=2))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": register}),)
        )
        server.add_insecure_port(f"unix://{self.folder}/kubelet.sock")
        server.start()
        self._server = server

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(grace=None).wait(timeout=10)

    def _register(self, request: RegisterRequest, _context: grpc.ServicerContext) -> Empty:
        self.registered.put(request)
        return Empty()


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    path = tmp_path / "readings"
    write_readings(path, [SimulatedGpu(A), SimulatedGpu(B)])
    return path


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    found = Kubelet(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def plugin(tmp_path: Path, readings: Path, kubelet: Kubelet) -> Iterator[SimulatedGpuPlugin]:
    found = SimulatedGpuPlugin(tmp_path, readings)
    thread = threading.Thread(target=found.run)
    thread.start()
    yield found
    found.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.fixture
def channel(plugin: SimulatedGpuPlugin, kubelet: Kubelet) -> Iterator[grpc.Channel]:
    """A connection to the registered plugin."""
    request = kubelet.registered.get(timeout=10)
    assert (request.version, request.endpoint, request.resource_name) == ("v1beta1", ENDPOINT, "nvidia.com/gpu")
    with grpc.insecure_channel(f"unix://{kubelet.folder}/{ENDPOINT}") as found:
        yield found


def test_the_devices_are_the_uuids_of_the_readings_and_follow_them(channel: grpc.Channel, readings: Path) -> None:
    watch = channel.unary_stream(
        "/v1beta1.DevicePlugin/ListAndWatch",
        request_serializer=Empty.SerializeToString,
        response_deserializer=ListAndWatchResponse.FromString,
    )
    stream: Any = watch(Empty(), timeout=20)
    assert [(each.ID, each.health) for each in next(stream).devices] == [(A, "Healthy"), (B, "Healthy")]
    write_readings(readings, [SimulatedGpu(A), SimulatedGpu(B, lost=True)])
    assert [(each.ID, each.health) for each in next(stream).devices] == [(A, "Healthy"), (B, "Unhealthy")]
    stream.cancel()


def test_a_container_learns_its_devices_and_that_they_are_simulated(channel: grpc.Channel) -> None:
    allocate = channel.unary_unary(
        "/v1beta1.DevicePlugin/Allocate",
        request_serializer=AllocateRequest.SerializeToString,
        response_deserializer=AllocateResponse.FromString,
    )
    answer = allocate(AllocateRequest(container_requests=[ContainerAllocateRequest(devices_ids=[A, B])]), timeout=10)
    assert dict(answer.container_responses[0].envs) == {
        "NVIDIA_VISIBLE_DEVICES": f"{A},{B}",
        "TRIMTAB_SIMULATED_GPU": "true",
    }
    assert dict(answer.container_responses[0].annotations) == {"trimtab.dev/simulated-gpu": "true"}
    with pytest.raises(grpc.RpcError, match="no such simulated GPU: GPU-x"):
        allocate(AllocateRequest(container_requests=[ContainerAllocateRequest(devices_ids=["GPU-x"])]), timeout=10)


def test_the_plugin_registers_again_when_the_kubelet_starts_again(channel: grpc.Channel, kubelet: Kubelet) -> None:
    kubelet.stop()
    kubelet.start()
    assert kubelet.registered.get(timeout=10).endpoint == ENDPOINT
