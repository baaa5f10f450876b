"""What both arms of a trial did, slot by slot, and the times that cut it. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimtab_operator.model.signals import Distribution, Signal


@dataclass(frozen=True)
class SlotValue:
    """A signal's value over one slot; `at` is the slot's end, unix seconds."""

    at: float
    value: float


@dataclass(frozen=True)
class Period:
    """What is measured of one period of a switchback: all of it in which the engine has settled, from slot to slot.

    Times are unix seconds. Numbers 2n and 2n + 1 are a pair; below 0 are stretches of the run-in. `over` says that
    nothing more of it will be measured. `distributions` are the histograms between the two times.
    """

    number: int
    changed: bool
    begin: float
    end: float
    over: bool
    distributions: dict[Signal, Distribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Recent:
    """What both arms did in the last two scrapes, all of it since the change is in force in the canary. Unix seconds.

    `rates` are those of requests and errors, by signal and pod.
    """

    in_force_at: float
    begin: float
    end: float
    rates: dict[Signal, dict[str, float]]
    distributions: dict[Signal, Distribution]


@dataclass(frozen=True)
class Arms:
    """What both arms of a trial did, slot by slot. Names are pod names.

    `slots` hold rates and gauges by signal and pod; `distributions` hold the histograms since the measurement began
    (`since`, unix seconds; None before it), and `run_in` those of the run-in, empty where they were not read.
    `periods` are those of a switchback, in which one pod is both arms by turns. `recent` is None where the change has
    not been in force for so long.
    """

    slot_seconds: float
    canary: tuple[str, ...]
    stable: tuple[str, ...]
    slots: dict[Signal, dict[str, tuple[SlotValue, ...]]]
    distributions: dict[Signal, Distribution]
    since: float | None
    run_in: dict[Signal, Distribution] = field(default_factory=dict)
    periods: tuple[Period, ...] = ()
    recent: Recent | None = None


@dataclass(frozen=True)
class TrialTimes:
    """The times of a trial, unix seconds.

    The run-in lasts from `run_in_from` to `changed_at`; slots between `changed_at` and `settled_at` belong to neither
    side; the goal is judged on slots from `judged_from`, once caches are warm, up to `judged_until`, the time of the
    look, so that a late tick sees no more.
    """

    run_in_from: float
    changed_at: float
    settled_at: float
    judged_from: float
    judged_until: float
