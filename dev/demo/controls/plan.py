"""The three controls, and what each must show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dev.demo.tuning.plan import GOOD, POOR, Bounds, Start
from dev.demo.tuning.results import ActResult, gain

STEADY = 0.10
"""Two windows of the same configuration differ by at most this share of the larger figure, or by noise in goodput."""
LESSER_GAIN = 1.2
UNTOUCHED_SECONDS = 60.0


class Expectation(StrEnum):
    """What a control must show."""

    STEADY = "nothing changes"
    LESSER_GAIN = "still gains"
    NOTHING_PROMOTED = "promotes nothing"


@dataclass(frozen=True)
class Control:
    """One arm; `bounds` None is an arm without a policy."""

    name: str
    start: Start
    bounds: Bounds | None
    expectation: Expectation


CONTROLS = (
    Control("untouched", POOR, None, Expectation.STEADY),
    Control("without cache", POOR, Bounds(cache=None), Expectation.LESSER_GAIN),
    Control(
        "good start",
        GOOD,
        Bounds(GOOD.max_batch_size, GOOD.max_queue_delay, GOOD.cache_bytes, max_trials=2),
        Expectation.NOTHING_PROMOTED,
    ),
)


def control_problems(control: Control, result: ActResult) -> tuple[str, ...]:
    """Return why a control failed, one sentence each; empty when it shows what it must."""
    rule = {
        Expectation.STEADY: _steady,
        Expectation.LESSER_GAIN: _lesser_gain,
        Expectation.NOTHING_PROMOTED: _nothing_promoted,
    }[control.expectation]
    return tuple(f"{control.name}: {problem}" for problem in rule(result))


def _steady(result: ActResult) -> list[str]:
    found = _goodput_moved(result)
    before, after = result.before.cpu_seconds_per_answer, result.after.cpu_seconds_per_answer
    if before is None or after is None:
        found.append("CPU-seconds per answered request were not measured in both windows")
    elif abs(before - after) > STEADY * max(before, after):
        found.append(f"CPU-seconds per answered request went from {before:.4f} to {after:.4f}: more than {STEADY:.0%}")
    return found


def _goodput_moved(result: ActResult) -> list[str]:
    before, after = (each.load.goodput_per_second for each in (result.before, result.after))
    allowed = max(STEADY * max(before, after), result.goodput_noise_per_second)
    if abs(before - after) <= allowed:
        return []
    return [f"goodput went from {before:.2f}/s to {after:.2f}/s: more than {allowed:.2f}/s"]


def _lesser_gain(result: ActResult) -> list[str]:
    if max(result.goodput_gain, result.p95_gain) >= LESSER_GAIN and result.promoted:
        return []
    factors = f"goodput {gain(result.goodput_gain)} and p95 better {gain(result.p95_gain)}"
    return [f"{factors} with {len(result.promoted)} promoted trials: {LESSER_GAIN} times in either was expected"]


def _nothing_promoted(result: ActResult) -> list[str]:
    found = [f"trial {trial.name} ({trial.change}) was promoted" for trial in result.promoted]
    if not reasons(result):
        found.append("it does not say why nothing was promoted")
    return found + _goodput_moved(result)


def reasons(result: ActResult) -> tuple[str, ...]:
    """Return why nothing was promoted: in the words of each trial that was judged, and of the policy."""
    said = [f"trial {trial.name}: {trial.verdict}: {trial.reason}" for trial in result.trials if trial.judged]
    if "settings: " in result.progressing:
        said.append(f"policy: Progressing {result.progressing}")
    return tuple(said)
