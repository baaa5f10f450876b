"""Periods of settings: as long as nothing changes that a batch runs under, one period goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.settings import LiveSettings


class SettingsPeriods:
    """Numbers the periods of one model, from 1 on; `turned` is called when a new one begins.

    A wish for another variant begins none: the swap that it leads to does.
    """

    def __init__(self, turned: Callable[[], None]) -> None:
        self.number = 1
        self._turned = turned
        self._live: LiveSettings | None = None
        self._variant: str = BASE_VARIANT

    def live_is(self, live: LiveSettings) -> None:
        """Hear of the settings in force; the first ones begin no period of their own."""
        acting = replace(live, quantization="None", variant=BASE_VARIANT, min_accuracy=0.0)
        before, self._live = self._live, acting
        if before is not None and acting != before:
            self._turn()

    def variant_is(self, variant: str) -> int:
        """Hear of the variant that a batch runs on; returns the number of its period."""
        if variant != self._variant:
            self._variant = variant
            self._turn()
        return self.number

    def _turn(self) -> None:
        self.number += 1
        self._turned()
