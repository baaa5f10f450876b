"""Settings whose effect takes time: a format or variant is searched, checked and swapped after it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import PendingSetting, RefusedValue, ShadowedSetting


@dataclass(frozen=True, slots=True)
class SlowSettings:
    """What is really in force, what is under way, and what came to nothing; a setting is in at most one of the last.

    `in_force` names the settings that do not run as asked. The reason of a refusal begins with its word, such as
    `AccuracyTooLow: ...`. `shadowed` tells the figures of those that were compared with the unmodified model.
    """

    in_force: Mapping[Knob, str] = field(default_factory=dict)
    pending: tuple[PendingSetting, ...] = ()
    refused: tuple[RefusedValue, ...] = ()
    shadowed: tuple[ShadowedSetting, ...] = ()
