"""One query per signal for all policies: ticks of one time slot share each instant answer and each range extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trimtab_operator.observation.history import Grid, HistoryStore
from trimtab_operator.observation.labels import PodLabels
from trimtab_operator.observation.prometheus import Answer, Prometheus
from trimtab_operator.observation.slots import SlotCache, slot_time
from trimtab_operator.runtimes.table import render

MINUTE_SECONDS: Final = 60.0


class Batch:
    """Renders templates for the namespaces of all policies and asks Prometheus once per slot.

    `namespaces` answers where policies are now: it is part of each query's text, so a policy in a new namespace is
    seen in the next slot.
    """

    def __init__(self, prometheus: Prometheus, namespaces: Callable[[], tuple[str, ...]]) -> None:
        self._prometheus = prometheus
        self._namespaces = namespaces
        self._slots = SlotCache()
        self._minutes = SlotCache()
        self._history = HistoryStore(prometheus)

    def text(self, template: str, labels: PodLabels, window_seconds: float, namespace: str) -> str:
        """Return the PromQL of a template for every policy's namespace, `namespace` among them."""
        names = sorted({namespace, *self._namespaces()})
        return render(
            template,
            window=f"{round(window_seconds)}s",
            selector=f'{labels.namespace}=~"{"|".join(names)}"',
            namespace_label=labels.namespace,
            pod_label=labels.pod,
        )

    async def instant(self, query: str, now: float) -> Answer:
        """Return the answer at the start of the slot that holds `now`."""
        slot = slot_time(now)
        return await self._slots.get(slot, query, lambda: self._prometheus.instant(query, slot))

    async def instant_of_minute(self, query: str, now: float) -> Answer:
        """Return the answer at the start of the minute that holds `now`: for windows that are much longer."""
        minute = now // MINUTE_SECONDS * MINUTE_SECONDS
        return await self._minutes.get(minute, query, lambda: self._prometheus.instant(query, minute))

    async def over_window(
        self, query: str, labels: PodLabels, lookback_seconds: int, step_seconds: int, now: float
    ) -> Grid:
        """Return the series of the last `lookback_seconds`, on times that are multiples of the step."""
        key = ("history", query, lookback_seconds, step_seconds)
        return await self._slots.get(
            slot_time(now),
            key,
            lambda: self._history.extend(query, labels, lookback_seconds, step_seconds, slot_time(now)),
        )
