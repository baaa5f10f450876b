"""Fair shares of a device between models: who goes next, and what each has had after a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.shares import FairShares

NAMES = ("a", "b", "c", "d")
# Seconds of the batches of each model, used again and again in this order.
batches = st.lists(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=5), min_size=2, max_size=4)


class Device:
    """Gives one batch after another to the model in turn; counts the seconds of each."""

    def __init__(self, seconds: Mapping[str, list[float]]) -> None:
        self.shares = FairShares()
        self.had: Counter[str] = Counter()
        self.order: list[str] = []
        self._seconds = seconds
        self._runs: Counter[str] = Counter()

    def run(self, count: int, waits: Callable[[str], bool] = lambda _: True) -> None:
        for _ in range(count):
            waiting = {name: 1.0 for name in self._seconds if waits(name)}
            if not waiting:
                return
            model = self.shares.in_turn(waiting)[0]
            seconds = self._seconds[model][self._runs[model] % len(self._seconds[model])]
            self.shares.began(model)
            self.shares.ended(model, seconds)
            self._runs[model] += 1
            self.had[model] += seconds  # type: ignore[assignment]
            self.order.append(model)


def named(lists: list[list[float]]) -> dict[str, list[float]]:
    return dict(zip(NAMES, lists, strict=False))


@given(batches, st.integers(1, 200))
def test_models_that_always_wait_have_had_the_same_to_within_one_batch_of_each(
    lists: list[list[float]], count: int
) -> None:
    device = Device(named(lists))
    device.run(count)
    for one, its in named(lists).items():
        for other, others in named(lists).items():
            assert abs(device.had[one] - device.had[other]) <= max(its) + max(others) + 1e-6


@given(batches, st.integers(0, 300), st.integers(1, 100))
def test_a_model_that_was_idle_comes_back_with_no_credit_and_no_debt(
    lists: list[list[float]], alone: int, together: int
) -> None:
    seconds = named(lists)
    device = Device(seconds)
    device.run(alone, waits=lambda name: name != "a")
    device.had.clear()
    device.run(together)
    for other in seconds.keys() - {"a"}:
        assert abs(device.had["a"] - device.had[other]) <= max(seconds["a"]) + max(seconds[other]) + 1e-6


@given(batches, st.data())
def test_nobody_starves_however_the_others_come_and_go(lists: list[list[float]], data: st.DataObject) -> None:
    seconds = named(lists)
    device = Device(seconds)
    device.run(data.draw(st.integers(0, 50)))
    device.had.clear()
    # While `a` waits, every other model has at most a batch more than the longest of both before it is a's turn.
    for _ in range(10_000):
        present = data.draw(st.sets(st.sampled_from(sorted(seconds)))) if len(device.order) % 7 == 0 else set(seconds)
        device.run(1, waits=lambda name, present=present: name == "a" or name in present)  # type: ignore[misc]
        if device.order[-1] == "a":
            break
    assert device.order[-1] == "a"
    for other in seconds.keys() - {"a"}:
        assert device.had[other] <= max(seconds[other]) + max(seconds["a"]) + max(seconds[other]) + 1e-6


def test_a_model_alone_has_everything() -> None:
    device = Device({"a": [0.5], "b": [0.1]})
    device.run(100, waits=lambda name: name == "a")
    assert device.order == ["a"] * 100


def test_equal_models_go_by_their_earliest_deadline() -> None:
    shares = FairShares()
    assert shares.in_turn({"a": 9.0, "b": 3.0, "c": 5.0}) == ["b", "c", "a"]
    shares.began("b")
    shares.ended("b", 0.1)
    assert shares.in_turn({"a": 9.0, "b": 3.0, "c": 5.0}) == ["c", "a", "b"]


def test_a_slow_model_delays_a_fast_one_by_one_batch_at_a_time() -> None:
    device = Device({"slow": [1.0], "fast": [0.01]})
    device.run(1000)
    fast_between = "".join(name[0] for name in device.order).split("s")[1:-1]
    assert all(99 <= len(run) <= 101 for run in fast_between)
