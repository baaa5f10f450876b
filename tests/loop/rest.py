"""How the operator has to stand once all faults are over: what it says is so, and nothing is left behind."""

from __future__ import annotations

import math

from fakes.fleet import STARTED
from fakes.tuned_stage import Tuned
from loop.watch import LEAST, MOST, MOST_GAIN

from trimtab_operator.analysis.drift import DRIFT_FACTOR
from trimtab_operator.decision.replicas import DOWN_UTILIZATION
from trimtab_operator.kube.resources import PODS

WOBBLE = 1.03  # of what is measured of equal replicas


def assert_at_rest(stage: Tuned, *, refused: bool) -> None:
    """Check what stands when nothing has happened for a while; `refused`: engines refused a setting once."""
    status = stage.status()
    assert stage.condition("MetricsTrusted")[0] == "True"
    assert stage.trials_under_way() == [], "a trial does not end"
    assert "intent" not in status
    assert "currentTrial" not in status
    assert status["phase"] == "Validation", f"the policy does not leave {status['phase']}"
    known, seen = float(status["baseline"]["inputTokens"]), stage.load.input_tokens or 0.0
    assert known / DRIFT_FACTOR <= seen <= known * DRIFT_FACTOR, f"{known} tokens are called normal, and {seen} come"
    _the_load_is_carried(stage)
    _every_engine_runs_what_was_kept(stage, refused=refused)


def _the_load_is_carried(stage: Tuned) -> None:
    """By enough replicas, and by none that was added for a trial and is of no use any more."""
    replicas, rate = stage.replicas(), stage.load.requests_per_second
    assert LEAST <= replicas <= MOST
    assert replicas * stage.load.capacity * MOST_GAIN >= rate
    fullest = max(
        1.0, *(1.0 / stage.cheaper(name) for _, name in stage.kube.names(PODS))
    )  # a change that makes busy time cheaper does not make the CPU time so
    needed = math.ceil(fullest * rate * WOBBLE / (stage.load.capacity * DOWN_UTILIZATION))
    assert replicas <= needed, f"more replicas than the load needs: {replicas}, not {needed}"


def _every_engine_runs_what_was_kept(stage: Tuned, *, refused: bool) -> None:
    """The settings of the newest trial that improved something; never those of one that failed.

    A policy that was made anew asks for none before its first trial: engines go on with what the one before promoted.
    """
    tuning = stage.status().get("tuning") or {}
    assert "change" not in tuning, "a change is left at rest"
    running = [stage.fleet.settings(name) for _, name in stage.kube.names(PODS)]
    asked = STARTED | tuning["settings"] if tuning else running[0]
    assert all(settings == asked for settings in running), (asked, running)
    trials = stage.trials()
    kept = [trial["spec"]["canary"] for trial in trials if trial["status"]["verdict"] == "Improved"]
    assert not kept or asked == kept[-1], (asked, trials)
    if trials and not kept and not refused:  # engines that refuse run what nobody asks for
        assert asked == trials[-1]["spec"]["stable"], (asked, trials)
