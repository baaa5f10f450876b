"""A kubelet device plugin whose devices are the simulated GPUs of a readings file.

    python -m fakes.device_plugin --kubelet-dir <kubelet root> --readings <file>

It speaks the kubelet's own protocol (Registration, ListAndWatch, Allocate), so that scheduling, allocation and
PodResources are the real ones. Containers get NVIDIA_VISIBLE_DEVICES, and TRIMTAB_SIMULATED_GPU=true, which says what
they are.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from fakes.deviceplugin_pb2 import (
    AllocateRequest,
    AllocateResponse,
    ContainerAllocateResponse,
    Device,
    DevicePluginOptions,
    Empty,
    ListAndWatchResponse,
    RegisterRequest,
)
from fakes.nvml.readings import read_health

API_VERSION = "v1beta1"
RESOURCE = "nvidia.com/gpu"
ENDPOINT = "trimtab-simulated-gpu.sock"
LOOK_SECONDS = 0.5
_log = logging.getLogger("device_plugin")


class SimulatedGpuPlugin:
    """Serves the plugin and keeps it registered: the kubelet wipes the folder of sockets whenever it starts."""

    def __init__(self, kubelet_dir: Path, readings: Path, resource: str = RESOURCE) -> None:
        self._folder = kubelet_dir / "device-plugins"
        self._readings = readings
        self._resource = resource
        self._stop = threading.Event()

    def run(self) -> None:
        """Serve until stop() is called."""
        while not self._stop.is_set():
            server = self._serve()
            try:
                kubelet = self._register()
                while kubelet is not None and kubelet == self._kubelet() and (self._folder / ENDPOINT).exists():
                    if self._stop.wait(LOOK_SECONDS):
                        break
            finally:
                server.stop(grace=1).wait(timeout=5)
            self._stop.wait(LOOK_SECONDS)

    def stop(self) -> None:
        """End run() and every stream."""
        self._stop.set()

    def options(self, _request: Empty, _context: grpc.ServicerContext) -> DevicePluginOptions:
        """Say that neither preferred allocations nor a step before the start are needed."""
        return DevicePluginOptions()

    def list_and_watch(self, _request: Empty, context: grpc.ServicerContext) -> Iterator[ListAndWatchResponse]:
        """Yield all devices now and whenever the readings file changes them."""
        shown: dict[str, bool] | None = None
        while context.is_active() and not self._stop.is_set():
            health = read_health(self._readings)
            if health != shown:
                shown = health
                devices = [Device(ID=uuid, health="Healthy" if ok else "Unhealthy") for uuid, ok in health.items()]
                yield ListAndWatchResponse(devices=devices)
            self._stop.wait(LOOK_SECONDS)

    def allocate(self, request: AllocateRequest, context: grpc.ServicerContext) -> AllocateResponse:
        """Answer what the container of each request sees of its devices."""
        known = read_health(self._readings)
        answers = []
        for container in request.container_requests:
            unknown = [uuid for uuid in container.devices_ids if uuid not in known]
            if unknown:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no such simulated GPU: {', '.join(unknown)}")
            envs = {"NVIDIA_VISIBLE_DEVICES": ",".join(container.devices_ids), "TRIMTAB_SIMULATED_GPU": "true"}
            annotations = {"trimtab.dev/simulated-gpu": "true"}
            answers.append(ContainerAllocateResponse(envs=envs, annotations=annotations))
        return AllocateResponse(container_responses=answers)

    def _serve(self) -> grpc.Server:
        endpoint = self._folder / ENDPOINT
        endpoint.unlink(missing_ok=True)
        server = grpc.server(ThreadPoolExecutor(max_workers=8))
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "GetDevicePluginOptions": unary(self.options, Empty.FromString, DevicePluginOptions.SerializeToString),
            "ListAndWatch": stream(self.list_and_watch, Empty.FromString, ListAndWatchResponse.SerializeToString),
            "Allocate": unary(self.allocate, AllocateRequest.FromString, AllocateResponse.SerializeToString),
        }
        handler = grpc.method_handlers_generic_handler(f"{API_VERSION}.DevicePlugin", methods)
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(f"unix://{endpoint.absolute()}")
        server.start()
        return server

    def _register(self) -> tuple[int, int] | None:
        """Tell the kubelet where we are; which kubelet it was, None when there is none (yet)."""
        kubelet = self._kubelet()
        if kubelet is None:
            return None
        request = RegisterRequest(version=API_VERSION, endpoint=ENDPOINT, resource_name=self._resource)
        with grpc.insecure_channel(f"unix://{(self._folder / 'kubelet.sock').absolute()}") as channel:
            register = channel.unary_unary(
                f"/{API_VERSION}.Registration/Register",
                request_serializer=RegisterRequest.SerializeToString,
                response_deserializer=Empty.FromString,
            )
            try:
                register(request, timeout=5)
            except grpc.RpcError as error:
                _log.warning("the kubelet did not register %s: %s", self._resource, error)
                return None
        _log.info("registered %s with %d devices", self._resource, len(read_health(self._readings)))
        return kubelet

    def _kubelet(self) -> tuple[int, int] | None:
        """The identity of the kubelet's socket: a kubelet that starts makes a new one."""
        try:
            found = (self._folder / "kubelet.sock").stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns


def main() -> None:
    """Run the plugin as a program until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubelet-dir", type=Path, required=True, help="root directory of the kubelet")
    parser.add_argument("--readings", type=Path, required=True, help="readings file of the simulated GPUs")
    parser.add_argument("--resource", default=RESOURCE)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    plugin = SimulatedGpuPlugin(arguments.kubelet_dir, arguments.readings, arguments.resource)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: plugin.stop())
    plugin.run()


if __name__ == "__main__":
    main()
