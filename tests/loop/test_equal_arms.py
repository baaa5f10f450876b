"""A/A through the whole loop: a change that does nothing, on pods that vary, is never promoted."""

from __future__ import annotations

import hashlib

import pytest
from fakes.tuned_stage import KNOBS, Tuned
from fakes.world import Stage

from trimtab_operator.model.signals import Signal

TRIAL = {"window": "2m", "maxWindow": "8m", "minRequests": 100, "maxTrials": 4}
SPREAD = 0.08
SECONDS_OF_WEATHER = 30.0


class Equal(Tuned):
    """Replicas whose busy time for an answer varies, each by itself, and does not depend on the settings."""

    def _busy_of(self, pod: str, at: float) -> float:
        weather = hashlib.sha256(f"{pod} {at // SECONDS_OF_WEATHER}".encode()).digest()
        share = int.from_bytes(weather[:4], "big") / 2**32 - 0.5
        return min(1.0, self._share(at) / self.load.capacity * (1.0 + SPREAD * share))


@pytest.fixture
def stage() -> Stage:
    return Equal()


async def test_no_trial_of_a_search_of_equal_arms_is_promoted(stage: Equal) -> None:
    stage.tune(trial=TRIAL, knobs=KNOBS)
    for _ in range(120):
        await stage.run(60.0)
        if any(each["reason"] == "SearchEnded" for each in stage.status().get("constraints", [])):
            break
    ended = [each["status"] for each in stage.trials()]
    assert len(ended) >= 2
    assert {each["verdict"] for each in ended} <= {"Inconclusive", "Regressed"}, [each["reason"] for each in ended]
    assert stage.sizes() == [1, 1]
    assert "RolledOut" not in stage.ledger()


def test_the_pods_of_this_stage_vary(stage: Equal) -> None:
    busy = stage.prometheus.per_pod[Signal.BUSY_RATIO]
    assert callable(busy)
    assert len({busy("llama-0", 1e9 + 60.0 * number) for number in range(20)}) == 20
