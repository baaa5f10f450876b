"""PodResources over a unix socket, against a gRPC server of the test's own (e2e has the real kubelet)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from trimtab_agent.pod_resources import PodResources
from trimtab_agent.podresources_pb2 import (
    ContainerDevices,
    ContainerResources,
    ListPodResourcesRequest,
    ListPodResourcesResponse,
)
from trimtab_agent.podresources_pb2 import PodResources as Pod
from trimtab_agent.snapshot import AssignedDevice, PodName, SourceState

Answer = Callable[[ListPodResourcesRequest, grpc.ServicerContext], ListPodResourcesResponse]


@contextmanager
def kubelet(socket: Path, answer: Answer) -> Iterator[None]:
    handler = grpc.method_handlers_generic_handler(
        "v1.PodResourcesLister",
        {
            "List": grpc.unary_unary_rpc_method_handler(
                answer, ListPodResourcesRequest.FromString, ListPodResourcesResponse.SerializeToString
            )
        },
    )
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(grace=None).wait(timeout=10)


def holding(**devices: list[str]) -> Answer:
    """Answer that pod prod/chat-0 has a container `server` with these devices, by resource name."""
    named = [
        ContainerDevices(resource_name=name.replace("__", ".").replace("_", "/"), device_ids=ids)
        for name, ids in devices.items()
    ]
    container = ContainerResources(name="server", devices=named)
    pod = Pod(name="chat-0", namespace="prod", containers=[container, ContainerResources(name="sidecar")])
    return lambda _request, _context: ListPodResourcesResponse(pod_resources=[pod])


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


@pytest.fixture
def client(socket: Path) -> Iterator[PodResources]:
    source = PodResources(socket, timeout_seconds=5)
    yield source
    source.close()


def test_the_nvidia_devices_of_every_container_are_listed(socket: Path, client: PodResources) -> None:
    answer = holding(
        nvidia__com_gpu=["GPU-a", "GPU-b"], **{"nvidia__com_mig-1g.18gb": ["MIG-c"]}, example__com_nic=["eth5"]
    )
    with kubelet(socket, answer):
        reading = client.read()
    assert reading.state is SourceState.OK
    expected = [AssignedDevice(PodName("prod", "chat-0"), "server", each) for each in ("GPU-a", "GPU-b", "MIG-c")]
    assert list(reading.devices) == expected


def test_a_node_without_the_socket_is_a_state_and_not_an_error(client: PodResources) -> None:
    reading = client.read()
    assert (reading.state, reading.devices) == (SourceState.MISSING, ())


def test_a_kubelet_that_starts_again_is_found_without_a_restart_of_the_agent(
    socket: Path, client: PodResources
) -> None:
    for uuid in ("GPU-a", "GPU-b"):
        with kubelet(socket, holding(nvidia__com_gpu=[uuid])):
            assert [device.device_id for device in client.read().devices] == [uuid]
        socket.unlink(missing_ok=True)
        assert client.read().state is SourceState.MISSING


def test_a_kubelet_that_does_not_answer_is_a_timeout(socket: Path) -> None:
    release = threading.Event()

    def hang(_request: ListPodResourcesRequest, _context: grpc.ServicerContext) -> ListPodResourcesResponse:
        release.wait(20)
        return ListPodResourcesResponse()

    client = PodResources(socket, timeout_seconds=0.2)
    try:
        with kubelet(socket, hang):
            assert client.read().state is SourceState.TIMEOUT
            release.set()
    finally:
        client.close()


def test_a_kubelet_that_refuses_is_an_error_with_its_words(socket: Path, client: PodResources) -> None:
    def refuse(_request: ListPodResourcesRequest, context: grpc.ServicerContext) -> ListPodResourcesResponse:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests")

    with kubelet(socket, refuse), pytest.raises(grpc.RpcError, match="too many requests"):
        client.read()


def test_fields_of_newer_kubelets_are_skipped(socket: Path, client: PodResources) -> None:
    known = holding(nvidia__com_gpu=["GPU-a"])(ListPodResourcesRequest(), None)  # type: ignore[arg-type]
    known.pod_resources[0].containers[0].MergeFromString(b"\x1a\x02\x01\x02\x2a\x03abc")  # cpu_ids, dynamic_resources
    with kubelet(socket, lambda _request, _context: known):
        assert [device.device_id for device in client.read().devices] == ["GPU-a"]
