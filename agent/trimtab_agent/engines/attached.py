"""The engines of this node as their requests show them: when each asked last, and what it reported last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trimtab_api.wire import LOST_SECONDS, SettingsReport

MAX_ENGINES = 512
"""Twice what a NodeTuning has room for: an engine whose entry is gone for a while keeps its report."""


@dataclass(frozen=True)
class Engine:
    """One engine, by its pod."""

    asked_at: datetime
    report: SettingsReport | None = None
    reported_at: datetime | None = None

    def is_attached(self, now: datetime) -> bool:
        """Whether it asked not too long ago."""
        return now - self.asked_at <= timedelta(seconds=LOST_SECONDS)


class Engines:
    """What the engines told since this agent started. `now` tells the time; `on_news` is called at each news."""

    def __init__(self, now: Callable[[], datetime], on_news: Callable[[], None]) -> None:
        self._now = now
        self._on_news = on_news
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self.started_at = now()
        """Before this nobody listened here: an engine counts as lost from this time on only."""

    def asked(self, pod_uid: str) -> None:
        """Note that the engine asked; it is news when it was not attached."""
        now = self._now()
        before = self._engines.get(pod_uid)
        self._keep(pod_uid, Engine(now) if before is None else replace(before, asked_at=now))
        if before is None or not before.is_attached(now):
            self._on_news()

    def reported(self, pod_uid: str, report: SettingsReport) -> None:
        """Note what the engine reported."""
        now = self._now()
        self._keep(pod_uid, Engine(now, report, now))
        self._on_news()

    def seen(self) -> Mapping[str, Engine]:
        """Return the engines by pod uid."""
        return self._engines

    def _keep(self, pod_uid: str, engine: Engine) -> None:
        self._engines[pod_uid] = engine
        self._engines.move_to_end(pod_uid)
        if len(self._engines) > MAX_ENGINES:
            self._engines.popitem(last=False)
