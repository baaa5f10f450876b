"""When a control holds and when it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.demo.controls.plan import CONTROLS, Control, control_problems, reasons
from dev.demo.tuning.results import ActResult
from dev.demo.tuning.trials import TrialSight
from dev.demo.tuning.windows import Measured

UNTOUCHED, WITHOUT_CACHE, GOOD_START = CONTROLS
Act = Callable[..., ActResult]
Window = Callable[..., Measured]
Trial = Callable[..., TrialSight]
ENDED = "Steady: spec.scaling is absent; settings: SearchEnded: no change is expected to bring 0.05"


def holds(control: Control, act: ActResult) -> bool:
    return control_problems(control, act) == ()


@pytest.mark.parametrize(
    ("goodput", "cpu", "steady"),
    [
        pytest.param((30.0, 32.0), (0.02, 0.021), True, id="within"),
        pytest.param((30.0, 34.0), (0.02, 0.02), False, id="more goodput"),
        pytest.param((34.0, 30.0), (0.02, 0.02), False, id="less goodput"),
        pytest.param((30.0, 30.0), (0.02, 0.0225), False, id="more CPU time"),
        pytest.param((30.0, 30.0), (0.02, None), False, id="CPU time not measured"),
        pytest.param((0.2, 0.9), (0.02, 0.02), True, id="almost nothing in time, both times"),
        pytest.param((0.2, 1.1), (0.02, 0.02), False, id="two percent of what was offered"),
    ],
)
def test_an_untouched_arm_must_stay_as_it_is(
    an_act: Act, a_window: Window, goodput: tuple[float, float], cpu: tuple[float, float | None], steady: bool
) -> None:
    before, after = (a_window(goodput=good, cpu=spent) for good, spent in zip(goodput, cpu, strict=True))
    assert holds(UNTOUCHED, an_act(before=before, after=after, trials=())) is steady


@pytest.mark.parametrize(
    ("goodput", "p95", "gained"),
    [
        pytest.param(24.0, 1.0, True, id="goodput"),
        pytest.param(20.0, 0.8, True, id="p95"),
        pytest.param(23.0, 0.9, False, id="neither enough"),
    ],
)
def test_without_the_cache_knob_there_must_be_a_lesser_gain(
    an_act: Act, a_window: Window, goodput: float, p95: float, gained: bool
) -> None:
    before, after = a_window(goodput=20.0, p95=1.0), a_window(goodput=goodput, p95=p95)
    assert holds(WITHOUT_CACHE, an_act(before=before, after=after)) is gained


def test_a_gain_that_no_trial_brought_does_not_count(an_act: Act) -> None:
    assert not holds(WITHOUT_CACHE, an_act(trials=()))


def test_a_good_start_must_promote_nothing_say_why_and_stay(an_act: Act, a_window: Window, a_trial: Trial) -> None:
    window = a_window(goodput=39.0)
    failed = a_trial(verdict="Inconclusive", reason="a difference of 0.05 (minEffect) is ruled out")
    assert holds(GOOD_START, an_act(before=window, after=window, trials=(), progressing=ENDED))
    assert holds(GOOD_START, an_act(before=window, after=window, trials=(failed,)))
    assert not holds(GOOD_START, an_act(before=window, after=window, trials=()))
    assert not holds(GOOD_START, an_act(before=window, after=window, progressing=ENDED))
    assert not holds(GOOD_START, an_act(before=window, after=a_window(goodput=30.0), trials=(), progressing=ENDED))


def test_problems_name_their_control(an_act: Act) -> None:
    assert all(problem.startswith("good start: ") for problem in control_problems(GOOD_START, an_act()))


def test_reasons_come_from_judged_trials_and_from_the_policy(an_act: Act, a_trial: Trial) -> None:
    trials = (
        a_trial(verdict="Inconclusive", reason="not clear"),
        a_trial("minilm-tuned-2", phase="Measuring", verdict="Unknown"),
    )
    assert reasons(an_act(trials=trials, progressing=ENDED)) == (
        "trial minilm-tuned-1: Inconclusive: not clear",
        f"policy: Progressing {ENDED}",
    )
    assert reasons(an_act(trials=(), progressing="Steady: spec.scaling is absent")) == ()
