"""One query per signal for all policies: ticks of one time slot share each instant answer and each range extension."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation.history import Grid, HistoryStore
from trimtab_operator.observation.labels import PodLabels
from trimtab_operator.observation.prometheus import Answer, Prometheus
from trimtab_operator.observation.slots import SlotCache, slot_time
from trimtab_operator.runtimes.table import render

MINUTE_SECONDS: Final = 60.0
REMEMBERED: Final = 256  # answers about times that are over


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
        self._past: OrderedDict[tuple[str, float], Answer] = OrderedDict()

    def text(self, template: str, labels: PodLabels, window_seconds: float, namespace: str) -> str:
        """Return the PromQL of a template for every policy's namespace, `namespace` among them."""
        return _rendered(template, labels, window_seconds, {namespace, *self._namespaces()})

    def text_of_one(self, template: str, labels: PodLabels, window_seconds: float, namespace: str) -> str:
        """Return the PromQL of a template for one namespace: what no other policy asks at the same time."""
        return _rendered(template, labels, window_seconds, {namespace})

    async def instant(self, query: str, now: float) -> Answer:
        """Return the answer at the start of the slot that holds `now`."""
        slot = slot_time(now)
        return await self._slots.get(slot, query, lambda: self._prometheus.instant(query, slot))

    async def instant_of_minute(self, query: str, now: float) -> Answer:
        """Return the answer at the start of the minute that holds `now`: for windows that are much longer."""
        minute = now // MINUTE_SECONDS * MINUTE_SECONDS
        return await self._minutes.get(minute, query, lambda: self._prometheus.instant(query, minute))

    async def past(self, query: str, at: float) -> Answer:
        """Return the answer at a time (unix seconds) that is over, so that it never changes: asked once."""
        known = self._past.get((query, at))
        if known is not None:
            self._past.move_to_end((query, at))
            return known
        answer = await self._prometheus.instant(query, at)
        if answer.state is SignalState.OK:
            self._past[query, at] = answer
            if len(self._past) > REMEMBERED:
                self._past.popitem(last=False)
        return answer

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


def _rendered(template: str, labels: PodLabels, window_seconds: float, namespaces: Iterable[str]) -> str:
    return render(
        template,
        window=f"{round(window_seconds)}s",
        selector=f'{labels.namespace}=~"{"|".join(sorted(namespaces))}"',
        namespace_label=labels.namespace,
        pod_label=labels.pod,
    )
