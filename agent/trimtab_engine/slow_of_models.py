"""One report about the slow settings for a process of several models. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import PendingSetting, RefusedValue
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
    return SlowSettings(in_force, tuple(pending), tuple(refused))
