"""One report about the slow settings for a process of several models. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import PendingSetting, RefusedValue, ShadowedSetting
from trimtab_engine.agent_link.slow import SlowSettings


class SlowReports:
    """Hears of each model and reports for all, once every model has told."""

    def __init__(self, models: Sequence[str], reported: Callable[[SlowSettings], None]) -> None:
        self._reported = reported
        self._waited_for = set(models)
        self._by_model: dict[str, SlowSettings] = {}

    def heard(self, model: str, slow: SlowSettings) -> None:
        """Take what a model tells."""
        self._by_model[model] = slow
        if self._by_model.keys() == self._waited_for:
            self._reported(slow_of_all(self._by_model))


def slow_of_all(by_model: Mapping[str, SlowSettings]) -> SlowSettings:
    """Return what holds for the process: a setting is pending while it is for one model, refused where no model has it.

    It is in force once a model runs as asked and none is on its way: a setting means those models that can take it.
    Of those that tell what was found in shadow, the one counts whose answers agree least.
    """
    in_force: dict[Knob, str] = {}
    pending: list[PendingSetting] = []
    refused: list[RefusedValue] = []
    for knob in sorted({knob for slow in by_model.values() for knob in slow.in_force}):
        under_way = [(slow, each) for slow in by_model.values() for each in slow.pending if each["setting"] == knob]
        if under_way:
            in_force[knob] = under_way[0][0].in_force[knob]
            pending.append(under_way[0][1])
        elif all(knob in slow.in_force for slow in by_model.values()):
            in_force[knob] = next(iter(by_model.values())).in_force[knob]
            refusals = [each for slow in by_model.values() for each in slow.refused if each["setting"] == knob]
            refused.extend(refusals[:1])
    whole = SlowSettings(in_force, tuple(pending), tuple(refused))
    return replace(whole, shadowed=_shadowed(by_model.values(), whole))


def _shadowed(models: Iterable[SlowSettings], whole: SlowSettings) -> tuple[ShadowedSetting, ...]:
    """Return what was found in shadow by the models that ended as the process does: of each setting the least."""
    pending = {each["setting"] for each in whole.pending}
    rows = [
        row
        for slow in models
        for row in slow.shadowed
        if row["setting"] not in pending and (row["setting"] in slow.in_force) == (row["setting"] in whole.in_force)
    ]
    rows.sort(key=lambda row: float(row["accuracyLow"]), reverse=True)
    return tuple({row["setting"]: row for row in rows}.values())
