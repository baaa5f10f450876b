"""Periods of settings: what begins one, and what does not."""

from __future__ import annotations

from dataclasses import replace

from trimtab_engine.periods import SettingsPeriods
from trimtab_engine.settings import LiveSettings

LIVE = LiveSettings()


def periods() -> tuple[SettingsPeriods, list[int]]:
    turns: list[int] = []
    found = SettingsPeriods(lambda: turns.append(1))
    found.live_is(LIVE)
    return found, turns


def test_the_first_settings_and_the_same_ones_again_begin_no_period() -> None:
    found, turns = periods()
    found.live_is(replace(LIVE))
    assert (found.number, turns) == (1, [])


def test_another_value_begins_one_and_going_back_another() -> None:
    found, turns = periods()
    found.live_is(replace(LIVE, max_batch_size=4))
    found.live_is(LIVE)
    assert (found.number, turns) == (3, [1, 1])


def test_a_wish_for_a_variant_begins_none_but_the_first_batch_on_it_does() -> None:
    found, turns = periods()
    found.live_is(replace(LIVE, quantization="Int8", min_accuracy=0.9))
    assert found.variant_is("base") == 1
    assert found.variant_is("int8-1") == 2
    assert found.variant_is("int8-1") == 2
    assert found.variant_is("base") == 3
    assert turns == [1, 1]
