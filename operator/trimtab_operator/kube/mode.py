"""The cluster's kill switch: one key of one ConfigMap, read live at most every five seconds. In doubt: Recommend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from trimtab_operator.clock import Clock
from trimtab_operator.errors import KubeError, KubeForbidden, KubeNotFound
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import CONFIG_MAPS

MaxMode = Literal["Recommend", "Apply"]

KEY: Final = "maxMode"
FRESH_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Ceiling:
    """How far any policy may go now, and why when that is not what the switch plainly says."""

    mode: MaxMode
    message: str = ""


class ModeSwitch:
    """Reads the ConfigMap `name` in the operator's namespace; without a name there is no ceiling."""

    def __init__(self, kube: Kube, clock: Clock, namespace: str, name: str | None) -> None:
        self._kube = kube
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._last = Ceiling("Recommend", "the kill switch has not been read yet")
        self._read_at: float | None = None

    async def ceiling(self) -> Ceiling:
        """Return the present ceiling, read again when the last good read is older than five seconds.

        While the API server does not answer, the last value holds for 30 s (writes cannot succeed then anyway).
        """
        if self._name is None:
            return Ceiling("Apply")
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
            await self._read(self._name, now)
        return self._last

    async def _read(self, name: str, now: float) -> None:
        where = f"ConfigMap {self._namespace}/{name}"
        try:
            self._last, self._read_at = _interpret(where, await self._kube.get(CONFIG_MAPS, self._namespace, name)), now
        except (KubeNotFound, KubeForbidden) as error:
            self._last = Ceiling("Recommend", f"{where} cannot be read ({error.message}): nothing is written")
            self._read_at = now
        except KubeError as error:
            if self._read_at is None or now - self._read_at > KEPT_SECONDS:
                self._last = Ceiling("Recommend", f"{where} could not be read: {error.message}")


def _interpret(where: str, configmap: Json) -> Ceiling:
    match (configmap.get("data") or {}).get(KEY):
        case "Apply":
            return Ceiling("Apply")
        case "Recommend":
            return Ceiling("Recommend", f"{where} sets {KEY} to Recommend")
        case other:
            return Ceiling("Recommend", f"{where}, key {KEY}: {other!r} is not accepted; set Recommend or Apply")
