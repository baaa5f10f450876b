"""Asks the kubelet which container holds which GPU, over its PodResources socket (v1 List)."""

from __future__ import annotations

from pathlib import Path

import grpc

from trimtab_agent.podresources_pb2 import ListPodResourcesRequest, ListPodResourcesResponse
from trimtab_agent.snapshot import AssignedDevice, DevicesReading, PodName, SourceState

METHOD = "/v1.PodResourcesLister/List"
RESOURCE_PREFIX = "nvidia.com/"
"""nvidia.com/gpu, nvidia.com/gpu.shared and nvidia.com/mig-<profile>."""
MAX_DEVICES = 1000
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""As the kubelet's own clients allow."""
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
)


class PodResources:
    """The kubelet's PodResources API. A socket that is not there (yet) is a state, not an error."""

    def __init__(self, socket: Path, timeout_seconds: float) -> None:
        self._socket = socket
        self._timeout_seconds = timeout_seconds
        self._channel = grpc.insecure_channel(f"unix://{socket.absolute()}", options=_OPTIONS)
        self._list = self._channel.unary_unary(
            METHOD,
            request_serializer=ListPodResourcesRequest.SerializeToString,
            response_deserializer=ListPodResourcesResponse.FromString,
        )

    def read(self) -> DevicesReading:
        """Ask for every NVIDIA device in use now. Raises grpc.RpcError when the kubelet refuses."""
        if not self._socket.exists():
            return DevicesReading(state=SourceState.MISSING)
        try:
            answer = self._list(ListPodResourcesRequest(), timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            return DevicesReading(state=SourceState.TIMEOUT)
        return DevicesReading(tuple(assigned_devices(answer)[:MAX_DEVICES]))

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def assigned_devices(answer: ListPodResourcesResponse) -> list[AssignedDevice]:
    """List the NVIDIA devices of an answer, one entry for each device and container."""
    return [
        AssignedDevice(PodName(pod.namespace, pod.name), container.name, device_id)
        for pod in answer.pod_resources
        for container in pod.containers
        for devices in container.devices
        if devices.resource_name.startswith(RESOURCE_PREFIX)
        for device_id in devices.device_ids
    ]
