"""All rivals by name: their settings, what a sweep may draw them from, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.scaling.rival import Profile, Rival
from bench.scaling.rivals import aibrix_apa, constant, cron, dynamo, hpa, keda, kpa, llmd_keda_slo, llmd_wva


@dataclass(frozen=True)
class Entry:
    """A rival. Those that know the trace have no space: their settings come from it."""

    settings: type[Any]
    build: Callable[[Any, Profile], Rival]
    space: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    reimplemented: bool = False
    """Whether only worked cases, and no decisions of its own code, say that this is how it decides."""


CATALOG: Mapping[str, Entry] = {
    "hpa": Entry(hpa.Settings, hpa.Hpa, hpa.SPACE),
    "keda": Entry(keda.Settings, keda.Keda, keda.SPACE, reimplemented=True),
    "kpa": Entry(kpa.Settings, kpa.Kpa, kpa.SPACE),
    "aibrix_apa": Entry(
        aibrix_apa.Settings,
        lambda settings, profile: aibrix_apa.AibrixApa(settings, profile, mended=False),
        aibrix_apa.SPACE,
        reimplemented=True,
    ),
    "aibrix_apa_mended": Entry(
        aibrix_apa.Settings,
        lambda settings, profile: aibrix_apa.AibrixApa(settings, profile, mended=True),
        aibrix_apa.SPACE,
        reimplemented=True,
    ),
    "llmd_wva": Entry(llmd_wva.Settings, llmd_wva.LlmdWva, llmd_wva.SPACE, reimplemented=True),
    "llmd_keda_slo": Entry(llmd_keda_slo.Settings, llmd_keda_slo.LlmdKedaSlo, llmd_keda_slo.SPACE, reimplemented=True),
    "dynamo": Entry(dynamo.Settings, dynamo.Dynamo, dynamo.SPACE),
    "cron": Entry(cron.Settings, lambda settings, _profile: cron.Cron(settings)),
    "constant": Entry(constant.Settings, lambda settings, _profile: constant.Constant(settings)),
}
