"""Rolling out in steps, and whether the change holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from fakes.arms import after_change, some_arms
from fakes.builders import CANARY, NOW, a_pod, a_trial, an_engine, at
from fakes.stands import BASELINE, a_stand, a_tuned_policy, attached_pods, attached_target, engines

from trimtab_api.trial import TrialStatus
from trimtab_operator.model.arms import Arms, Recent
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.rollout import roll_out, validate
from trimtab_operator.trial.rollout_breach import steps
from trimtab_operator.trial.stand import Stand

FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
UIDS = [f"uid-chat-{number}" for number in range(8)]
EIGHT = attached_target(8)
STEP = 70.0  # half of a window of 2 min, and 10 s to settle
HELD = 130.0  # a window and 10 s to settle
GIVEN = {"startedAt": at(), "measuredFrom": at(10.0), "verdict": "Improved"}
THROUGHPUT = {"measure": "Throughput", "canary": "60", "stable": "30", "unit": "answers/busy s"}
LATENCY = {"latency": {"max": "200ms"}}
MET = BASELINE | {"objectives": [{"name": "latency", "met": "Met", "limit": "0.2s", "at": at(-1200.0)}]}
FAILING = some_arms({Signal.ERRORS_PER_SECOND: after_change(0.0, 3.0)})


def rolled(changed: int, *, since: float = STEP, running: int | None = None, **fields: Any) -> TrialStatus:
    """A tick of the rollout to eight pods, `changed` of which have it for `since` seconds, and all or some run it."""
    status = {"phase": "RollingOut", "changed": UIDS[:changed], "changedAt": at()} | GIVEN
    runs = changed if running is None else running
    known = engines(*[CANARY] * runs, *[None] * (8 - runs))
    return roll_out(a_stand(a_trial(status=status), after=since, **{"target": EIGHT, "engines": known, **fields}))


def test_a_change_is_given_to_twice_as_many_pods_with_each_step() -> None:
    sizes, changed = [1], 1
    while (found := rolled(changed)).phase == "RollingOut":
        changed = len(found.changed)
        sizes.append(changed)
    assert sizes == [1, 2, 4, 8]
    assert found.phase == "Validating"


def test_a_step_is_stamped_with_its_time_and_begins_with_who_had_it() -> None:
    found = rolled(2)
    assert found.changed == tuple(UIDS[:4])
    assert found.changed_at is not None
    assert found.changed_at.timestamp() == NOW + STEP


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        pytest.param(2, {"since": STEP - 1.0}, id="the step has not been watched long enough"),
        pytest.param(2, {"running": 1}, id="a pod does not run it yet"),
        pytest.param(2, {"busy": 9.0}, id="measurements are not trusted"),
        pytest.param(2, {"policy": a_tuned_policy(freeze=FREEZE)}, id="the calendar forbids it"),
        pytest.param(8, {"busy": 9.0}, id="all have it but measurements are not trusted"),
    ],
)
def test_a_rollout_waits(changed: int, fields: dict[str, Any]) -> None:
    found = rolled(changed, **fields)
    assert (found.phase, len(found.changed)) == ("RollingOut", changed)


def test_the_second_pod_need_not_wait_for_the_canary_was_watched_in_the_trial() -> None:
    assert len(rolled(1, since=1.0).changed) == 2


def test_a_pod_that_joined_later_gets_it_too_and_one_that_is_gone_is_not_waited_for() -> None:
    pods = (*attached_pods(2)[1:], a_pod("chat-7", attachable=True))
    found = rolled(2, running=1, target=attached_target(pods=pods), engines=engines(None, CANARY))
    assert found.changed == ("uid-chat-0", "uid-chat-1", "uid-chat-7")


def test_a_pod_that_refuses_takes_it_back_from_all() -> None:
    known = engines(CANARY, an_engine(refused={"maxBatchSize": "8"}))
    found = rolled(2, engines=known)
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Regressed", 1)
    assert "refused the change: maxBatchSize 8: too large" in found.reason


def test_the_refusal_of_a_pod_that_is_gone_does_not_count() -> None:
    known = engines(CANARY, an_engine(refused={"maxBatchSize": "8"}))
    left = attached_target(pods=(attached_pods(1)[0], a_pod("chat-7", attachable=True)))
    assert rolled(2, engines=known, target=left).phase == "RollingOut"


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        pytest.param({"arms": FAILING}, "Reverting", id="worse than the rest"),
        pytest.param({"arms": some_arms()}, "RollingOut", id="as good as the rest"),
        pytest.param({"arms": replace(FAILING, stable=())}, "RollingOut", id="no rest to compare with"),
        pytest.param({"arms": FAILING, "busy": 9.0}, "RollingOut", id="not trusted"),
    ],
)
def test_a_guard_is_looked_at_beside_the_pods_that_have_it_not(fields: dict[str, Any], phase: str) -> None:
    found = rolled(2, policy=a_tuned_policy(objectives={"errorRatio": {"max": "0.01"}}), **fields)
    assert found.phase == phase
    if phase == "Reverting":
        assert (found.verdict, found.violations) == ("Regressed", 1)
        assert found.reason.startswith("during the rollout: errorRatio")


def validated(*, since: float = HELD, status: dict[str, Any] | None = None, **fields: Any) -> TrialStatus:
    """A tick of the validation of two pods, `since` seconds after the last of them got the change."""
    given = {"phase": "Validating", "changed": UIDS[:2], "changedAt": at(), "observed": [THROUGHPUT]} | GIVEN
    trial = a_trial(status=given | (status or {}))
    seen = {"arms": some_arms(), "engines": engines(CANARY, CANARY), **fields}
    return validate(a_stand(trial, after=since, **seen))


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="cheaper than the stable arm"),
        pytest.param({"observed": []}, id="throughput was not compared"),
        pytest.param({"observed": [THROUGHPUT | {"stable": None}]}, id="throughput of the stable arm is not known"),
    ],
)
def test_a_change_that_holds_for_a_window_is_kept(status: dict[str, Any]) -> None:
    found = validated(status=status)
    assert (found.phase, found.verdict, found.violations) == ("Finished", "Improved", 0)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"since": HELD - 1.0}, id="not yet a window"),
        pytest.param({"busy": 9.0}, id="not trusted"),
        pytest.param({"arms": None}, id="not measured"),
    ],
)
def test_the_validation_waits(fields: dict[str, Any]) -> None:
    assert validated(**fields).phase == "Validating"


def test_a_gain_that_is_lost_takes_the_change_back() -> None:
    found = validated(status={"observed": [THROUGHPUT | {"stable": "40"}]})
    assert (found.phase, found.verdict) == ("Reverting", "Regressed")
    assert (
        found.reason
        == "after the rollout: 37.5 answers for each busy second, fewer than the 40 of the stable arm before"
    )


def test_idle_engines_prove_no_loss() -> None:
    idle = some_arms({Signal.BUSY_RATIO: 0.0})
    assert validated(arms=idle).phase == "Finished"


@pytest.mark.parametrize(
    ("baseline", "latency", "phase"),
    [
        pytest.param(MET, 1.0, "Reverting", id="was met and is violated"),
        pytest.param(MET, 0.05, "Finished", id="is met"),
        pytest.param(BASELINE, 1.0, "Finished", id="was not met before"),
        pytest.param(None, 1.0, "Finished", id="no baseline"),
    ],
)
def test_a_guard_that_breaks_after_the_rollout_takes_it_back(
    baseline: dict[str, Any] | None, latency: float, phase: str
) -> None:
    policy = a_tuned_policy(objectives=LATENCY, status={"baseline": baseline})
    found = validated(policy=policy, latency=latency)
    assert found.phase == phase
    if phase == "Reverting":
        assert "after the rollout: latency is violated" in found.reason


def failing(*pods: int, stable: tuple[int, ...] = ()) -> Arms:
    """Eight pods of which some are as they were; in the last two scrapes a tenth of what these `pods` answer fails."""
    names = [f"chat-{number}" for number in range(8)]
    unchanged = tuple(names[number] for number in stable)
    usual = some_arms().slots
    slots = {signal: dict.fromkeys(names, by_pod["canary-0"]) for signal, by_pod in usual.items()}
    recent = Recent(
        in_force_at=NOW + 10.0,
        begin=NOW + STEP - 10.0,
        end=NOW + STEP,
        rates={
            Signal.REQUESTS_PER_SECOND: dict.fromkeys(names, 30.0),
            Signal.ERRORS_PER_SECOND: {name: 3.0 if number in pods else 0.0 for number, name in enumerate(names)},
        },
        distributions={},
    )
    changed = tuple(name for name in names if name not in unchanged)
    return replace(some_arms(), canary=changed, stable=unchanged, slots=slots, recent=recent)


EIGHT_IN_TRIAL = [
    {"uid": uid, "name": f"chat-{number}", "node": "node-a", "arm": "Canary" if number == 0 else "Stable"}
    for number, uid in enumerate(UIDS)
]


def stepped(changed: int, arms: Arms | None, *, since: float = STEP, running: int | None = None, **how: Any) -> Stand:
    """A tick of the rollout to eight pods of the trial, the last of which got the change `since` seconds ago."""
    status = {"phase": "RollingOut", "changed": UIDS[:changed], "changedAt": at(STEP - since)} | GIVEN
    runs = changed if running is None else running
    known = engines(*[CANARY] * runs, *[None] * (8 - runs))
    trial = a_trial(status=status, pods=EIGHT_IN_TRIAL)
    return a_stand(trial, after=STEP, **{"target": EIGHT, "engines": known, "arms": arms, **how})


@pytest.mark.parametrize(
    ("changed", "broken", "named"),
    [
        pytest.param(1, (0,), "chat-0", id="the-canary"),
        pytest.param(4, (2, 3), "chat-2, chat-3", id="a-step"),
        pytest.param(4, (1,), "chat-1", id="an-earlier-step"),
        pytest.param(8, (4, 5, 6, 7), "chat-4, chat-5, chat-6 and 1 more", id="the-last-step"),
    ],
)
def test_a_step_that_suddenly_breaks_a_guard_takes_the_change_back_at_once(
    changed: int, broken: tuple[int, ...], named: str
) -> None:
    found = roll_out(stepped(changed, failing(*broken, stable=tuple(range(changed, 8)))))
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Regressed", 1)
    assert found.reason.startswith("during the rollout: errorRatio: 10.0% in the canary against 0.0% beside it")
    assert found.reason.endswith(f", in the last two scrapes of {named}")
    assert [(row.measure, row.canary) for row in found.observed] == [("Errors", "0.1")]


@pytest.mark.parametrize(
    ("changed", "broken", "how"),
    [
        pytest.param(4, (), {}, id="nobody-breaks-it"),
        pytest.param(4, range(8), {}, id="those-that-have-it-not-break-it-too"),
        pytest.param(4, (2, 3), {"busy": 9.0}, id="not-trusted"),
        pytest.param(4, (2, 3), {"since": 9.0}, id="less-than-two-scrapes-old"),
        pytest.param(4, (2, 3), {"running": 2}, id="engines-do-not-run-it-yet"),
        pytest.param(8, (0,), {}, id="an-earlier-step-where-none-is-left-without-it"),
    ],
)
def test_what_is_not_the_changes_doing_takes_nothing_back_at_once(
    changed: int, broken: Iterable[int], how: dict[str, Any]
) -> None:
    found = roll_out(stepped(changed, failing(*broken, stable=tuple(range(changed, 8))), **how))
    assert found.phase != "Reverting"


def test_the_last_step_is_held_against_the_others_while_the_change_is_validated() -> None:
    found = validate(stepped(8, failing(4, 5, 6, 7)))
    assert (found.phase, found.verdict) == ("Reverting", "Regressed")
    assert found.reason.startswith("after the rollout: errorRatio")


def test_pods_that_are_gone_are_nothing_to_be_held_against() -> None:
    """Of eight pods the four that had not the change went; the last step of two is held against those before it."""
    left = attached_target(4)
    found = roll_out(stepped(4, failing(2, 3, stable=(4, 5, 6, 7)), target=left, engines=engines(*[CANARY] * 4)))
    assert found.reason.endswith("of chat-2, chat-3")


def test_without_two_scrapes_nothing_is_taken_back_at_once() -> None:
    broken = failing(2, 3, stable=(4, 5, 6, 7))
    assert roll_out(stepped(4, replace(broken, recent=None))).phase == "RollingOut"
    assert roll_out(stepped(4, None)).phase == "RollingOut"


@pytest.mark.parametrize(
    ("pods", "sizes"), [(0, [0]), (1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (4, [1, 1, 2]), (11, [1, 1, 2, 4, 3])]
)
def test_steps_are_those_of_the_rollout(pods: int, sizes: list[int]) -> None:
    changed = tuple(f"uid-{number}" for number in range(pods))
    assert [len(step) for step in steps(changed)] == sizes
    assert tuple(uid for step in steps(changed) for uid in step) == changed
