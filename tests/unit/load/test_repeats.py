"""How often inputs repeat."""

from __future__ import annotations

import pytest

from dev.load.plan import Keys, LoadPlan, inputs_of
from dev.load.recordings import recorded_keys
from dev.load.repeats import repeated_share

INPUTS = ("a", "b", "a", "c", "b", "b")


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        pytest.param(0, 6, 0.5, id="from the start: the first of each is new"),
        pytest.param(2, 6, 0.75, id="what came before the stretch counts as seen"),
        pytest.param(3, 4, 0.0, id="new"),
        pytest.param(4, 4, None, id="empty"),
    ],
)
def test_an_input_repeats_when_it_was_sent_at_any_time_before(begin: int, end: int, expected: float | None) -> None:
    assert repeated_share(INPUTS, begin, end) == expected


def test_recorded_keys_repeat_distinct_ones_do_not_and_few_nearly_always() -> None:
    recorded = inputs_of(LoadPlan(url="", keys=Keys.TRACE), 2000)
    distinct = inputs_of(LoadPlan(url="", keys=Keys.DISTINCT), 2000)
    few = inputs_of(LoadPlan(url="", keys=Keys.FEW), 2000)
    assert (repeated_share(recorded, 0, 2000) or 0.0) > 0.2
    assert repeated_share(distinct, 0, 2000) == 0.0
    assert repeated_share(few, 0, 2000) == 0.9


def test_the_recorded_keys_are_not_replayed_with_the_same_sentences() -> None:
    keys = len(recorded_keys())
    inputs = inputs_of(LoadPlan(url=""), 2 * keys)
    assert set(inputs[:keys]).isdisjoint(inputs[keys:])
    assert repeated_share(inputs, keys, 2 * keys) == repeated_share(inputs, 0, keys)


def test_an_offset_moves_along_the_same_recording() -> None:
    whole = inputs_of(LoadPlan(url=""), 20)
    assert inputs_of(LoadPlan(url="", key_offset=5), 15) == whole[5:]


def test_an_input_of_four_sentences_is_four_times_as_long_and_repeats_as_one_of_a_single_sentence_does() -> None:
    single, fourfold = (inputs_of(LoadPlan(url="", sentences=sentences), 2000) for sentences in (1, 4))
    assert fourfold[0].count(".") >= 4
    assert sum(map(len, fourfold)) / sum(map(len, single)) == pytest.approx(4.0, rel=0.1)
    assert repeated_share(fourfold, 0, 2000) == repeated_share(single, 0, 2000)
