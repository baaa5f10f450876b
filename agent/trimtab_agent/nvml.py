"""NVIDIA's NVML, read through pynvml: the only file that knows its names, error codes, milliwatts and megahertz.

Every NVML error has a meaning here: a field that is absent, a GPU that is lost, a driver that is gone, or a fault that
is counted. None of them leaves this file as an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

import pynvml

from trimtab_agent.snapshot import DriverReading, DriverState, GpuReading, UtilizationSource

T = TypeVar("T")

MAX_GPUS = 64
MAX_MIG_DEVICES = 64
FIRST_RETRY_SECONDS = 5.0
LAST_RETRY_SECONDS = 300.0
SIMULATED_SYMBOL = "trimtab_nvml_is_simulated"


class Meaning(Enum):
    """What an NVML error code says about the thing that was asked."""

    ABSENT = auto()
    LOST = auto()
    NO_DRIVER = auto()
    DRIVER_FAULT = auto()
    FAULT = auto()


MEANINGS: dict[int, Meaning] = {
    pynvml.NVML_ERROR_UNINITIALIZED: Meaning.DRIVER_FAULT,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: Meaning.ABSENT,
    pynvml.NVML_ERROR_NOT_SUPPORTED: Meaning.ABSENT,
    pynvml.NVML_ERROR_NO_PERMISSION: Meaning.ABSENT,
    pynvml.NVML_ERROR_ALREADY_INITIALIZED: Meaning.FAULT,
    pynvml.NVML_ERROR_NOT_FOUND: Meaning.ABSENT,
    pynvml.NVML_ERROR_INSUFFICIENT_SIZE: Meaning.FAULT,
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: Meaning.LOST,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Meaning.NO_DRIVER,
    pynvml.NVML_ERROR_TIMEOUT: Meaning.FAULT,
    pynvml.NVML_ERROR_IRQ_ISSUE: Meaning.LOST,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Meaning.NO_DRIVER,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Meaning.ABSENT,
    pynvml.NVML_ERROR_CORRUPTED_INFOROM: Meaning.FAULT,
    pynvml.NVML_ERROR_GPU_IS_LOST: Meaning.LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED: Meaning.LOST,
    pynvml.NVML_ERROR_OPERATING_SYSTEM: Meaning.DRIVER_FAULT,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Meaning.DRIVER_FAULT,
    pynvml.NVML_ERROR_IN_USE: Meaning.FAULT,
    pynvml.NVML_ERROR_MEMORY: Meaning.FAULT,
    pynvml.NVML_ERROR_NO_DATA: Meaning.ABSENT,
    pynvml.NVML_ERROR_VGPU_ECC_NOT_SUPPORTED: Meaning.ABSENT,
    pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES: Meaning.FAULT,
    pynvml.NVML_ERROR_FREQ_NOT_SUPPORTED: Meaning.ABSENT,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: Meaning.ABSENT,
    pynvml.NVML_ERROR_DEPRECATED: Meaning.ABSENT,
    pynvml.NVML_ERROR_NOT_READY: Meaning.FAULT,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: Meaning.LOST,
    pynvml.NVML_ERROR_INVALID_STATE: Meaning.FAULT,
    pynvml.NVML_ERROR_RESET_TYPE_NOT_SUPPORTED: Meaning.ABSENT,
    pynvml.NVML_ERROR_UNKNOWN: Meaning.FAULT,
}

_THROTTLE_REASONS = {
    "power_cap": pynvml.nvmlClocksEventReasonSwPowerCap,
    "thermal": pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "hardware": pynvml.nvmlClocksEventReasonHwSlowdown | pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
}


_GPM_METRICS = (
    pynvml.NVML_GPM_METRIC_SM_UTIL,
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
)
"""In the order of the fields of `Activity`; without the first a GPU has no GPM."""


@dataclass(frozen=True)
class Activity:
    """What GPM says of a GPU: shares of the multiprocessors, and of the cycles of memory and tensor pipes, 0 to 1."""

    sm_ratio: float | None = None
    dram_ratio: float | None = None
    tensor_ratio: float | None = None


class _GpuLostError(Exception):
    """The GPU that was asked does not answer any more."""


class _DriverGoneError(Exception):
    """The driver as a whole does not answer."""

    def __init__(self, state: DriverState, error: pynvml.NVMLError) -> None:
        super().__init__(str(error))
        self.state = state


class Nvml:
    """The GPUs of this node. A missing or broken driver is tried again after 5 s, doubling to 300 s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open = False
        self._closed_as = DriverReading(DriverState.NO_DRIVER)
        self._retry_at_seconds = 0.0
        self._retry_after_seconds = FIRST_RETRY_SECONDS
        self._uuids: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._samples: dict[str, Any] = {}
        self._without_gpm: set[str] = set()
        self._faults = 0

    def read(self) -> DriverReading:
        """Read all GPUs now; never raises for an NVML error."""
        if not self._open and self._clock() < self._retry_at_seconds:
            return self._closed_as
        self._faults = 0
        try:
            self._ensure_open()
            count = self._ask(pynvml.nvmlDeviceGetCount) or 0
            gpus = tuple(self._gpu(index) for index in range(min(count, MAX_GPUS)))
        except _DriverGoneError as gone:
            return self._close(gone.state, str(gone))
        if not gpus:
            return self._close(DriverState.ERROR if self._faults else DriverState.NO_GPU, "the driver lists no GPU")
        self._retry_after_seconds = FIRST_RETRY_SECONDS
        return DriverReading(DriverState.OK, _is_simulated(), gpus, self._faults)

    def _ensure_open(self) -> None:
        if self._open:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            missing = MEANINGS.get(error.value) is Meaning.NO_DRIVER
            raise _DriverGoneError(DriverState.NO_DRIVER if missing else DriverState.ERROR, error) from error
        self._open = True

    def _close(self, state: DriverState, reason: str) -> DriverReading:
        """End the session with the driver, so that the next try sees a driver that was installed or loaded anew."""
        if self._open:
            for sample in self._samples.values():
                _free(sample)
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()
        self._open = False
        self._samples.clear()
        self._without_gpm.clear()
        self._retry_at_seconds = self._clock() + self._retry_after_seconds
        self._retry_after_seconds = min(self._retry_after_seconds * 2, LAST_RETRY_SECONDS)
        self._closed_as = DriverReading(state, _is_simulated(), reason=reason)
        return self._closed_as

    def _ask(self, call: Callable[..., T], *arguments: object) -> T | None:
        """Return the answer of one NVML call, None where the field is absent; a fault is counted and absent too."""
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            meaning = MEANINGS.get(error.value, Meaning.FAULT)
            if meaning is Meaning.LOST:
                raise _GpuLostError from error
            if meaning in (Meaning.NO_DRIVER, Meaning.DRIVER_FAULT):
                state = DriverState.NO_DRIVER if meaning is Meaning.NO_DRIVER else DriverState.ERROR
                raise _DriverGoneError(state, error) from error
            self._faults += meaning is Meaning.FAULT
            return None

    def _gpu(self, index: int) -> GpuReading:
        try:
            handle = self._ask(pynvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                return self._fields(index, handle)
        except _GpuLostError:
            _free(self._samples.pop(self._uuids.get(index, ""), None))
        return GpuReading(index, self._uuids.get(index, ""), self._names.get(index), lost=True)

    def _fields(self, index: int, handle: Any) -> GpuReading:
        uuid = self._uuids[index] = self._ask(pynvml.nvmlDeviceGetUUID, handle) or self._uuids.get(index, "")
        name = self._ask(pynvml.nvmlDeviceGetName, handle)
        if name is not None:
            self._names[index] = name
        memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        activity = self._activity(uuid, handle)
        utilization_ratio, utilization_source = self._utilization(activity, handle)
        temperature = self._ask(pynvml.nvmlDeviceGetTemperatureV, handle, pynvml.NVML_TEMPERATURE_GPU)
        if temperature is None:  # drivers before 560 have only the older call
            temperature = self._ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
        return GpuReading(
            index=index,
            uuid=uuid,
            name=name,
            utilization_ratio=utilization_ratio,
            utilization_source=utilization_source,
            memory_used_bytes=None if memory is None else memory.used,
            memory_total_bytes=None if memory is None else memory.total,
            power_watts=_scaled(self._ask(pynvml.nvmlDeviceGetPowerUsage, handle), 1e-3),
            power_limit_watts=_scaled(self._ask(pynvml.nvmlDeviceGetPowerManagementLimit, handle), 1e-3),
            energy_joules=_scaled(self._ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle), 1e-3),
            temperature_celsius=temperature,
            sm_clock_hertz=_scaled(self._ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM), 1e6),
            throttled=self._throttled(handle),
            mig_uuids=self._mig_uuids(handle),
            dram_active_ratio=activity.dram_ratio if activity else None,
            tensor_active_ratio=activity.tensor_ratio if activity else None,
        )

    def _throttled(self, handle: Any) -> dict[str, bool] | None:
        bits = self._ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if bits is None:  # drivers before 535 have only the older name
            bits = self._ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return None if bits is None else {reason: bool(bits & mask) for reason, mask in _THROTTLE_REASONS.items()}

    def _mig_uuids(self, handle: Any) -> tuple[str, ...]:
        mode = self._ask(pynvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return ()
        uuids = []
        for index in range(min(self._ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0, MAX_MIG_DEVICES)):
            device = self._ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
            uuid = None if device is None else self._ask(pynvml.nvmlDeviceGetUUID, device)
            if uuid is not None:
                uuids.append(uuid)
        return tuple(uuids)

    def _utilization(self, activity: Activity | None, handle: Any) -> tuple[float | None, UtilizationSource | None]:
        """Return SM activity where the GPU has GPM, else the share of time in which any kernel ran."""
        if activity is not None:
            return activity.sm_ratio, UtilizationSource.SM_ACTIVITY
        rates = self._ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
        return (None, None) if rates is None else (rates.gpu / 100, UtilizationSource.BUSY_TIME)

    def _activity(self, uuid: str, handle: Any) -> Activity | None:
        """Return what GPM says of the time since the sample before; None where the GPU does not have GPM.

        A GPM value needs two samples: the first tick of such a GPU has none, rather than one with another meaning.
        """
        activity = None if uuid in self._without_gpm else self._gpm(uuid, handle)
        if activity is None:
            self._without_gpm.add(uuid)
        return activity

    def _gpm(self, uuid: str, handle: Any) -> Activity | None:
        support = self._ask(pynvml.nvmlGpmQueryDeviceSupport, handle)
        if support is None or not support.isSupportedDevice:
            return None
        sample = self._ask(pynvml.nvmlGpmSampleAlloc)
        if sample is None or self._ask(pynvml.nvmlGpmSampleGet, handle, sample) is None:
            _free(sample)
            return None
        before = self._samples.get(uuid)
        self._samples[uuid] = sample
        if before is None:
            return Activity()
        asked = pynvml.c_nvmlGpmMetricsGet_t()
        asked.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        asked.numMetrics = len(_GPM_METRICS)
        asked.sample1, asked.sample2 = before, sample
        for place, metric in enumerate(_GPM_METRICS):
            asked.metrics[place].metricId = metric
        answer = self._ask(pynvml.nvmlGpmMetricsGet, asked)
        _free(before)
        if answer is None or answer.metrics[0].nvmlReturn != pynvml.NVML_SUCCESS:
            return None
        return Activity(*(_gpm_ratio(answer.metrics[place]) for place in range(len(_GPM_METRICS))))


def _gpm_ratio(metric: Any) -> float | None:
    """Return a GPM percentage as 0 to 1; None where this GPU does not have that metric."""
    return min(max(metric.value / 100, 0.0), 1.0) if metric.nvmlReturn == pynvml.NVML_SUCCESS else None


def _is_simulated() -> bool:
    """Tell whether the loaded library is the simulated one of the tests and the demo, which says so by a symbol."""
    return pynvml.nvmlLib is not None and hasattr(pynvml.nvmlLib, SIMULATED_SYMBOL)


def _free(sample: Any) -> None:
    if sample is not None:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlGpmSampleFree(sample)


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value * unit
