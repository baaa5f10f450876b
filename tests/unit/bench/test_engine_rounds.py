"""Rounds of slices: void ones are repeated later and a bounded number of times, and no bad slice ends a measure."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine.__main__ import planned
from bench.engine.catalog import MEASURES
from bench.engine.contenders import Setting
from bench.engine.errors import VoidSlice
from bench.engine.extent import FULL
from bench.engine.plan import WHOLE_SECONDS, Part, ends
from bench.engine.rounds import REPEATED_SHARE, Rounds, mirrored_rounds, paired, shuffled_rounds
from bench.engine.sweep import Sweep, Swept

ORDERS = [["a", "b"]] * 8


def never() -> bool:
    return False


@given(st.integers(1, 6), st.integers(1, 20), st.integers(0, 99))
def test_every_contender_has_one_slice_in_every_round(contenders: int, rounds: int, seed: int) -> None:
    names = [f"contender {number}" for number in range(contenders)]
    for drawn in (shuffled_rounds(names, rounds, seed=seed), mirrored_rounds(names, rounds, seed=seed)):
        assert len(drawn) == rounds
        assert all(sorted(order) == names for order in drawn)


def test_mirrored_rounds_come_forth_and_back() -> None:
    drawn = mirrored_rounds(["a", "b", "c"], 8, seed=4)
    assert all(drawn[place] == drawn[place + 1][::-1] for place in range(0, 8, 2))


def test_a_void_slice_is_repeated_after_the_others_of_its_round() -> None:
    calls: list[str] = []

    def slice_of(name: str, number: int) -> int:
        calls.append(f"{name}{number}")
        if calls == ["a0"]:
            raise VoidSlice("the load generator was 3.0 ms late")
        return number

    rounds = Rounds(ORDERS, never)
    found = list(rounds.run(slice_of))
    assert calls[:5] == ["a0", "b0", "a0", "a1", "b1"]
    assert all(value is not None for each in found for value in each.slices.values())
    assert rounds.void == ["a: the load generator was 3.0 ms late"]
    assert rounds.why_too_few(8) == ""


def test_one_contender_whose_slices_are_always_void_costs_a_bounded_number_of_repeats() -> None:
    calls: Counter[str] = Counter()

    def slice_of(name: str, _: int) -> float:
        calls[name] += 1
        if name == "a":
            raise VoidSlice("late")
        return 1.0

    rounds = Rounds(ORDERS, never)
    found = list(rounds.run(slice_of))
    assert calls == {"a": 8 + REPEATED_SHARE * 16, "b": 8}
    ours, theirs = paired([each.slices["a"] for each in found], [each.slices["b"] for each in found])
    assert ours == theirs == []
    assert rounds.why_too_few(len(ours)) == "0 of 8 pairs; 12 slices were void, the last: a: late"


def test_no_round_is_begun_once_the_time_is_up() -> None:
    seen: list[int] = []

    def slice_of(_: str, number: int) -> int:
        seen.append(number)
        return number

    rounds = Rounds(ORDERS, lambda: len(seen) >= 6)
    assert len(list(rounds.run(slice_of))) == 3
    assert rounds.why_too_few(3) == "3 of 8 pairs; the time was up after 3 of 8 rounds"


@given(st.lists(st.tuples(st.none() | st.floats(1, 9), st.none() | st.floats(1, 9)), max_size=20))
def test_pairs_are_the_rounds_in_which_both_were_had(rounds: list[tuple[float | None, float | None]]) -> None:
    ours, theirs = paired([our for our, _ in rounds], [their for _, their in rounds])
    assert list(zip(ours, theirs, strict=True)) == [each for each in rounds if None not in each]


def test_the_whole_run_is_planned_to_be_over_in_its_time() -> None:
    parts = planned(list(MEASURES), [], FULL)
    assert sum(part.seconds for part in parts) <= WHOLE_SECONDS
    names = [part.name for part in parts]
    assert len(names) == len(set(names)), "each sweep is done once"
    assert names.index("sweep of minilm") < names.index("capacity") < names.index("overload")


def test_what_the_hour_leaves_over_is_spread_along_the_way() -> None:
    over = ends([Part("a", 10.0), Part("b", 30.0)], 100.0, 60.0)
    assert over == pytest.approx({"a": 115.0, "b": 160.0})
    assert ends([Part("a", 10.0)], 0.0, 5.0) == {"a": 10.0}, "a plan that is too long is not cut here"


def swept(**scores: float) -> Sweep:
    ours = {"trimtab": 0.0, "trimtab-again": 0.0}
    return Sweep({name: Swept(Setting(8, 0.0), score) for name, score in (ours | scores).items()}, {})


def test_the_named_rival_takes_part_and_then_the_best_of_the_sweep() -> None:
    sweep = swept(mosec=150.0, bentoml=120.0, litserve=140.0, ray=20.0)
    assert sweep.rivals(2) == ["mosec", "litserve"]
    assert sweep.rivals(2, named=("bentoml",)) == ["bentoml", "mosec"]
    assert sweep.rivals(1, named=("infinity",)) == ["mosec"], "one that does not run is replaced"
    assert swept().rivals(2) == []
