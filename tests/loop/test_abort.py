"""How soon a trial is taken back whose canary begins to break a guard: two scrapes and a tick, with scrapes as real.

Ticks come every 5 s, and a breach begins anywhere between two of them.
"""

from __future__ import annotations

import pytest
from fakes.breach import USUAL_LATE, Breach, BreachByTurns
from fakes.tuned_stage import TRIAL

TICK_SECONDS = 5.0
AT_EACH_SCRAPE_INTERVAL = pytest.mark.parametrize("scrape_seconds", [5.0, 15.0])
WITH_EACH_HARM = pytest.mark.parametrize(
    "harm", [pytest.param({"late": 0.97}, id="late"), pytest.param({"failed": 0.1}, id="failed")]
)


@AT_EACH_SCRAPE_INTERVAL
@WITH_EACH_HARM
async def test_a_breach_that_comes_with_the_change_aborts_it_within_two_scrapes_and_a_tick(
    scrape_seconds: float, harm: dict[str, float]
) -> None:
    stage = Breach()
    stage.watch(scrape_seconds)
    stage.begin(await stage.run_to("Starting"), **harm)
    assert await stage.seconds_to_abort() <= 2.0 * scrape_seconds + TICK_SECONDS
    shown = {row["measure"]: row for row in stage.trials()[-1]["status"]["observed"]}
    measure, worse = ("Errors", 0.05) if "failed" in harm else ("LatencyP95", 0.5)
    assert float(shown[measure]["canary"]) > worse
    assert stage.trials()[-1]["status"]["observedSummary"].startswith("errorRatio" if "failed" in harm else "latency")
    await stage.run(30.0)
    assert stage.sizes() == [1, 1]


@pytest.mark.parametrize("offset_seconds", [0.0, 1.0, 2.0, 3.0, 4.0])
@AT_EACH_SCRAPE_INTERVAL
@WITH_EACH_HARM
async def test_a_breach_in_mid_measurement_aborts_it_within_two_scrapes_and_a_tick(
    scrape_seconds: float, harm: dict[str, float], offset_seconds: float
) -> None:
    stage = Breach()
    stage.watch(scrape_seconds)
    trial = await stage.run_to("Measuring")
    await stage.run(150.0 + offset_seconds)
    stage.begin(trial, **harm)
    assert await stage.seconds_to_abort() <= 2.0 * scrape_seconds + TICK_SECONDS


async def test_requests_that_were_late_before_the_change_do_not_abort_it() -> None:
    stage = Breach()
    stage.watch(5.0)
    trial = await stage.run_to("Starting")
    stage.begin(trial, after_seconds=-30.0, late=0.97)
    stage.ends_at = stage.clock.now()
    trial = await stage.run_to("Finished")
    assert trial["status"].get("violations", 0) == 0, trial["status"]


async def test_arms_that_are_alike_are_not_aborted() -> None:
    stage = Breach()
    stage.watch(5.0)
    stage.begin(await stage.run_to("Starting"), late=USUAL_LATE)
    trial = await stage.run_to("Finished")
    assert (trial["status"]["verdict"], trial["status"].get("violations", 0)) == ("Inconclusive", 0)


BY_TURNS = TRIAL | {"maxWindow": "20m"}


@AT_EACH_SCRAPE_INTERVAL
@WITH_EACH_HARM
async def test_by_turns_a_breach_that_comes_with_the_change_aborts_it_within_two_scrapes_and_a_tick(
    scrape_seconds: float, harm: dict[str, float]
) -> None:
    stage = BreachByTurns()
    stage.watch(scrape_seconds, trial=BY_TURNS)
    stage.begin(await stage.run_to("Starting"), **harm)
    assert await stage.seconds_to_abort() <= 2.0 * scrape_seconds + TICK_SECONDS
    status = stage.trials()[-1]["status"]
    assert sum(period["arm"] == "Canary" for period in status["periods"]) == 1, "it is seen in its first turn"
    assert {row["measure"] for row in status["observed"]} == {"LatencyP95", "Errors"}
    await stage.run(30.0)
    assert stage.sizes() == [1]


@pytest.mark.parametrize("offset_seconds", [1.0, 4.0])
@AT_EACH_SCRAPE_INTERVAL
@WITH_EACH_HARM
async def test_by_turns_a_breach_in_a_later_period_aborts_it_within_two_scrapes_and_a_tick(
    scrape_seconds: float, harm: dict[str, float], offset_seconds: float
) -> None:
    stage = BreachByTurns()
    stage.watch(scrape_seconds, trial=BY_TURNS)
    trial = await stage.run_to_turn(3)
    await stage.run(offset_seconds)
    stage.begin(trial, **harm)
    assert await stage.seconds_to_abort() <= 2.0 * scrape_seconds + TICK_SECONDS


async def test_settings_that_are_alike_by_turns_are_not_aborted() -> None:
    stage = BreachByTurns()
    stage.watch(5.0, trial=BY_TURNS)
    stage.begin(await stage.run_to("Starting"), late=USUAL_LATE)
    trial = await stage.run_to("Finished")
    assert (trial["status"]["verdict"], trial["status"].get("violations", 0)) == ("Inconclusive", 0)


class RolledOut(Breach):
    """A change that helps, on four replicas."""

    gain = 1.5
    replicas = 4


class RolledOutToTheSecond(RolledOut):
    replicas = 2


@AT_EACH_SCRAPE_INTERVAL
@WITH_EACH_HARM
@pytest.mark.parametrize(("replicas", "changed"), [(4, 2), (4, 4), (2, 2)])
async def test_a_breach_that_comes_with_a_step_of_the_rollout_aborts_it_within_two_scrapes_and_a_tick(
    replicas: int, changed: int, scrape_seconds: float, harm: dict[str, float]
) -> None:
    """Beside pods that have it not, and beside those that had it before where none is left."""
    stage = RolledOut() if replicas == 4 else RolledOutToTheSecond()
    stage.watch(scrape_seconds)
    stage.begin(await stage.run_to_changed(changed), newest=max(1, changed // 2), **harm)
    assert await stage.seconds_to_abort() <= 2.0 * scrape_seconds + TICK_SECONDS
    assert "the rollout: " in stage.trials()[-1]["status"]["reason"]
    await stage.run(30.0)
    assert stage.sizes() == [1] * replicas


async def test_a_breach_of_all_changed_pods_in_mid_step_aborts_the_rollout_within_two_scrapes_and_a_tick() -> None:
    stage = RolledOut()
    stage.watch(5.0)
    trial = await stage.run_to_changed(2)
    await stage.run(33.0)
    stage.begin(trial, newest=2, late=0.97)
    assert await stage.seconds_to_abort() <= 2.0 * 5.0 + TICK_SECONDS


@pytest.mark.parametrize("stage", [RolledOut, RolledOutToTheSecond])
async def test_pods_that_are_alike_are_rolled_out(stage: type[Breach]) -> None:
    made = stage()
    made.watch(5.0)
    trial = await made.run_to("Finished")
    assert (trial["status"]["verdict"], trial["status"].get("violations", 0)) == ("Improved", 0)
