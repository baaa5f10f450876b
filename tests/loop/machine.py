"""The whole operator on fakes as a state machine (hypothesis): each rule is something that happens to it.

A rule may set the scene for a phase of the policy and wait for it, so that the short ones are struck, too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

from fakes.fleet import STARTED
from fakes.tuned_stage import TRIAL, Tuned
from fakes.world import NAMESPACE
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from loop.rest import assert_at_rest
from loop.watch import LEAST, MOST, MOST_AT_ONCE, MOST_GAIN, OLD_SECONDS, Watch

from trimtab_operator.errors import KubeConflict, KubeError, KubeUnavailable
from trimtab_operator.kube.resources import DEPLOYMENTS, PODS, POLICIES, TRIALS

WAIT_SECONDS = 900.0
TROUBLED_SECONDS = 180.0
"""How long after its last fault the API server may still keep the operator from saying what it sees."""
CALM_SECONDS, CALM_TIMES, STEADY_SECONDS = 300.0, 18, 600.0

SPEC: dict[str, Any] = {
    "mode": "Apply",
    "scaling": {"minReplicas": LEAST, "maxReplicas": MOST, "maxStep": MOST_AT_ONCE, "stabilization": "2m"},
    "knobs": {"batching": {"maxBatchSize": {"min": 1, "max": 8}}, "cache": {"memory": {"max": "64Mi"}}},
    "trial": {**TRIAL, "maxTrials": 3},
    "observation": {"interval": "30s", "window": "2m"},
}
PHASES = ("Discovery", "Analysis", "Strategy", "Implementation", "Validation", "RollingBack")
ERRORS_OF_THE_CLUSTER = {"KubeConflict", "KubeUnavailable"}
"""What may end a tick; ends that are no errors are written in small letters."""

PASSING = ("Discovery", "Analysis", "Strategy", "Implementation", "RollingBack")
"""The phases that do not last: a rule that shall strike in one of them sets the scene for it first."""
BEFORE_A_TRIAL = PASSING[:2]
SURGE = "Surge"
"""Beside the phases: a replica is asked for, or awaited, for a trial."""
REOPENED = "Reopened"
"""Beside the phases: a changed load has reopened the search."""
MOMENTS = (*PHASES, SURGE, REOPENED)
WHEN = st.sampled_from([*[None] * len(PASSING), *PASSING, SURGE])
SECONDS = st.sampled_from([5.0, 45.0, 45.0, 300.0])
RATES = st.sampled_from([0.0, 1.0, 7.0, 10.0, 15.0, 22.0, 30.0, 80.0])
SECONDS_AS_NODES_FILL = st.sampled_from([5.0, 45.0, 600.0, 600.0])
"""Long enough, too, for a replica that found none to be asked for again."""
SHORT_TOKENS, LONG_TOKENS = 25.0, 100.0
TOKENS = st.sampled_from([6.0, SHORT_TOKENS, LONG_TOKENS])
GAINS = st.sampled_from([0.7, 1.0, MOST_GAIN])
DESIGNS = st.sampled_from(["Auto", "PairedCanary", "Switchback", "Surge", "Surge"])
AMPLE_ROOM = MOST + 2
ROOMS = st.sampled_from([1, 2, 3, AMPLE_ROOM])
AWAITED = ("Unschedulable:", "SurgeAwaited:", "ForeignManager:")
"""Reasons of replicas that change by themselves after a longer while."""
CALLS = st.sampled_from(
    [
        ("get", "OptimizationPolicy"), ("get", "Deployment"), ("list", "Pod"), ("list", "OptimizationTrial"),
        ("patch", "OptimizationPolicy"), ("patch", "OptimizationTrial"), ("create", "OptimizationTrial"),
        ("patch", "Deployment/scale"), ("patch", "NodeTuning"),
    ]
)  # fmt: skip
ERRORS: st.SearchStrategy[type[KubeError]] = st.sampled_from([KubeUnavailable, KubeConflict])


class Operator(RuleBasedStateMachine):
    """After each rule the loop lives on for a while; in the end all faults stop, and it has to come to rest.

    `met` counts what happened in which phase of the policy, over all examples, and beside that in the other moments.
    """

    met: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stage = Tuned()
        self.watch = Watch(self.stage)
        self.troubled_at = 0.0
        self.refused = False
        self.design = "Auto"

    @initialize(gain=GAINS, seconds=SECONDS)
    def begin(self, gain: float, seconds: float) -> None:
        self.stage.gain, self.stage.room = gain, AMPLE_ROOM
        self.stage.load.input_tokens, self.stage.inputs_repeat = SHORT_TOKENS, True
        self.stage.load.requests_per_second = 22.0
        self.stage.apply_policy(**SPEC)
        self._live(seconds)

    @rule(when=WHEN, seconds=SECONDS)
    def time_passes(self, when: str | None, seconds: float) -> None:
        self._meet("time", when)
        self._live(seconds)

    @rule(when=WHEN, seconds=SECONDS, rate=RATES)
    def load_changes(self, when: str | None, seconds: float, rate: float) -> None:
        self._meet("load", when)
        self.stage.load.requests_per_second = rate
        self._live(seconds)

    @rule(when=WHEN, seconds=SECONDS, tokens=TOKENS, gain=GAINS)
    def the_mix_of_requests_changes(self, when: str | None, seconds: float, tokens: float, gain: float) -> None:
        self._meet("mix", when)
        self.stage.load.input_tokens, self.stage.gain = tokens, gain
        self._live(seconds)

    @rule(when=WHEN | st.just(SURGE), seconds=SECONDS_AS_NODES_FILL, room=ROOMS)
    def nodes_fill_or_come(self, when: str | None, seconds: float, room: int) -> None:
        """A replica that is only intended yet, for a trial, finds none then."""
        self._meet("nodes", when)
        self.stage.room = room
        self._live(seconds)

    @rule(when=WHEN, design=DESIGNS, rate=RATES)
    def a_person_sets_the_design_while_load_changes(self, when: str | None, design: str, rate: float) -> None:
        self._meet("design", when)
        self.stage.load.requests_per_second = rate
        self._set_design(design)
        self._live(45.0)

    @rule(when=WHEN, seconds=SECONDS, down=st.booleans())
    def prometheus_goes_or_comes(self, when: str | None, seconds: float, down: bool) -> None:
        self._meet("prometheus", when)
        self.stage.prometheus.down = down
        self._live(seconds)

    @rule(when=WHEN, seconds=SECONDS, age=st.sampled_from([2.0, OLD_SECONDS]), rate=RATES)
    def samples_are_so_old_while_load_changes(self, when: str | None, seconds: float, age: float, rate: float) -> None:
        self._meet("age", when)
        self.stage.prometheus.sample_age_seconds = age
        self.stage.load.requests_per_second = rate
        self._live(seconds)

    @rule(when=WHEN, call=CALLS, error=ERRORS, times=st.integers(1, 6), after=st.booleans())
    def the_api_server_fails(
        self, when: str | None, call: tuple[str, str], error: type[KubeError], times: int, after: bool
    ) -> None:
        self._meet("api", when)
        self.stage.kube.fail(*call, error, times, after=after and call[0] not in {"get", "list"})
        self._live(60.0)

    @rule(when=WHEN, seconds=SECONDS)
    def the_operator_dies(self, when: str | None, seconds: float) -> None:
        self._meet("restart", when)
        self.stage.start()
        self._live(seconds)

    @rule(when=WHEN, replicas=st.integers(1, 8))
    def somebody_scales(self, when: str | None, replicas: int) -> None:
        self._meet("foreign", when)
        self.watch.written.clear()  # what was undone in the same second looks as if it had never been done
        self.stage.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": replicas}})
        self.stage.kube.settle(NAMESPACE, "llama", room=self.stage.room)
        self._live(45.0)

    @rule(when=WHEN, mode=st.sampled_from(["Apply", "Recommend", "Paused"]), rate=RATES)
    def a_person_sets_the_mode_while_load_changes(self, when: str | None, mode: str, rate: float) -> None:
        self._meet("mode", when)
        self.stage.load.requests_per_second = rate
        self.watch.mode = mode
        self.stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"mode": mode}})
        self._live(45.0)

    @rule(when=WHEN, mode=st.sampled_from(["Apply", "Recommend"]), rate=RATES)
    def an_administrator_sets_the_ceiling_while_load_changes(self, when: str | None, mode: str, rate: float) -> None:
        self._meet("ceiling", when)
        self.stage.load.requests_per_second = rate
        self._set_ceiling(mode)
        self._live(45.0)

    @rule(when=WHEN, every=st.booleans())
    def pods_are_replaced(self, when: str | None, every: bool) -> None:
        self._meet("pod", when)
        self._replace_pods(every=every)
        self._live(45.0)

    @rule(when=WHEN, image=st.integers(2, 9))
    def somebody_changes_the_template(self, when: str | None, image: int) -> None:
        self._meet("template", when)
        self.stage.change_template(str(image))
        self._replace_pods(every=True)
        self._live(45.0)

    @rule(when=WHEN, seconds=SECONDS, away=st.booleans())
    def the_agents_go_or_come(self, when: str | None, seconds: float, away: bool) -> None:
        self._meet("agents", when)
        self.stage.fleet.away = away
        self._live(seconds)

    @rule(when=WHEN, refuses=st.booleans())
    def engines_refuse_large_batches_or_not(self, when: str | None, refuses: bool) -> None:
        self._meet("refusal", when)
        self.refused = self.refused or refuses
        self.stage.fleet.refuses = {("maxBatchSize", 8): "no room for so many"} if refuses else {}
        self._live(45.0)

    @rule(when=WHEN, seconds=SECONDS)
    def a_person_makes_the_policy_anew(self, when: str | None, seconds: float) -> None:
        self._meet("anew", when)
        self._make_the_policy_anew()
        self._live(seconds)

    @invariant()
    def nothing_unsafe_was_written(self) -> None:
        assert not self.watch.unsafe, self.watch.unsafe

    @invariant()
    def every_error_is_one_of_the_cluster(self) -> None:
        mistakes = {name for name in self.stage.outcomes if not name.islower()} - ERRORS_OF_THE_CLUSTER
        assert not mistakes, f"mistakes of the operator: {mistakes}"

    @invariant()
    def at_most_one_trial_is_under_way(self) -> None:
        assert len(self.stage.trials_under_way()) <= 1, "two trials at a time"

    @invariant()
    def metrics_that_nobody_saw_are_not_called_trusted(self) -> None:
        if self.watch.blind and not self._troubled and "conditions" in self.stage.status():
            assert self.stage.condition("MetricsTrusted")[0] != "True", "metrics that nobody saw are called trusted"

    @invariant()
    def what_a_trial_changed_goes_with_it(self) -> None:
        """Only a new template may leave a change behind for a while: it takes the pods away, too."""
        change = (self.stage.status().get("tuning") or {}).get("change")
        if change is None or self._troubled:
            return
        over = [trial for trial in self.stage.trials() if trial["metadata"]["name"] == change["trial"]]
        ends = [trial["status"]["verdict"] for trial in over if (trial.get("status") or {}).get("phase") == "Finished"]
        assert ends in ([], ["TargetChanged"]), f"a trial is over and its change is not: {change}"

    def teardown(self) -> None:
        """All faults end: the loop comes to rest where the load is carried, and then writes nothing any more."""
        try:
            if self.stage.queue.next_due is not None and self.watch.unsafe == []:
                self._come_to_rest()
        finally:
            self.runner.close()

    def _come_to_rest(self) -> None:
        stage = self.stage
        self._end_faults()
        for _ in range(CALM_TIMES):
            written = len(stage.kube.writes)
            self._live(CALM_SECONDS)
            reason = stage.status().get("replicas", {}).get("reason", "")
            if len(stage.kube.writes) == written and not reason.startswith(AWAITED):
                break
        assert not self.watch.unsafe, self.watch.unsafe
        assert_at_rest(stage, refused=self.refused)
        written = len(stage.kube.writes)
        self._live(STEADY_SECONDS)
        assert stage.kube.writes[written:] == [], "something is written at rest"

    def _end_faults(self) -> None:
        stage = self.stage
        stage.kube.faults.clear()
        stage.prometheus.down, stage.prometheus.sample_age_seconds = False, 2.0
        stage.fleet.away, stage.fleet.refuses, stage.room = False, {}, AMPLE_ROOM
        stage.load.requests_per_second = 22.0
        self.watch.mode = "Apply"
        self._set_ceiling("Apply")
        stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"mode": "Apply"}})

    def _set_ceiling(self, mode: str) -> None:
        self.watch.set_ceiling(mode)
        self.stage.allow(mode)

    def _set_design(self, design: str) -> None:
        self.design = design
        self.stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"trial": {"design": design}}})

    def _begin_a_search(self, *, whatever_was_kept: bool) -> None:
        """By another mix of requests where there is a search to reopen, else with new pods and a new policy.

        `whatever_was_kept`: also where little may be left to try.
        """
        status, steady = self.stage.status(), self._phase == "Validation" and not self.stage.trials_under_way()
        fresh = STARTED | (status.get("tuning") or {}).get("settings", {}) == STARTED
        known = (status.get("baseline") or {}).get("inputTokens")
        if known is not None and steady and (fresh or whatever_was_kept):
            self.stage.load.input_tokens = LONG_TOKENS if float(known) < LONG_TOKENS / 2.0 else SHORT_TOKENS
            return
        self._replace_pods(every=True)
        self._make_the_policy_anew()

    def _replace_pods(self, *, every: bool) -> None:
        names = sorted(name for _, name in self.stage.kube.names(PODS))
        for name in names if every else names[:1]:
            self.stage.kube.vanish(PODS, NAMESPACE, name)
        self.stage.kube.settle(NAMESPACE, "llama", room=self.stage.room)

    def _make_the_policy_anew(self) -> None:
        self.stage.kube.vanish(POLICIES, NAMESPACE, "tune")
        self.watch.changed_at.clear()  # the ledger goes with the policy
        for trial in self.stage.trials():  # they go with their owner
            self.stage.kube.vanish(TRIALS, NAMESPACE, trial["metadata"]["name"])
        self._live(45.0)
        trial = {**SPEC["trial"], "design": self.design}
        self.stage.apply_policy(**SPEC | {"mode": self.watch.mode, "trial": trial})

    # Time

    @property
    def _phase(self) -> str:
        return str(self.stage.status().get("phase", "Discovery"))

    @property
    def _faulty(self) -> bool:
        return any(fault.times > 0 for fault in self.stage.kube.faults)

    @property
    def _troubled(self) -> bool:
        """Whether the API server kept the operator, a while ago at most, from saying what it knows."""
        return self._faulty or self.stage.clock.now() - self.troubled_at < TROUBLED_SECONDS

    def _live(self, seconds: float) -> None:
        self.watch.look()
        self.runner.run(self.stage.run(seconds))
        if self._faulty:
            self.troubled_at = self.stage.clock.now()

    def _is_in(self, moment: str) -> bool:
        return self._surging if moment == SURGE else self._phase == moment

    @property
    def _surging(self) -> bool:
        intended = (self.stage.status().get("intent") or {}).get("reason", "").startswith("Surge:")
        return intended or self.stage.surge_stands()

    @property
    def _moments(self) -> list[str]:
        """The phase, and what else is going on."""
        beside = {SURGE: self._surging, REOPENED: self._phase in PASSING and "LoadChanged" in self.stage.ledger()}
        return [self._phase, *(moment for moment, holds in beside.items() if holds)]

    def _await(self, moment: str) -> None:
        """End the faults, see to it that a search comes that leads to the moment, and live on until then."""
        self._end_faults()
        self.stage.gain = 0.7 if moment == "RollingBack" else MOST_GAIN
        if moment == SURGE or self.design == "Switchback":
            self._set_design(SURGE if moment == SURGE else "Auto")
        if moment in (*BEFORE_A_TRIAL, SURGE) or not self.stage.trials_under_way():
            self._begin_a_search(whatever_was_kept=moment in BEFORE_A_TRIAL)
        self.watch.look()
        end = self.stage.clock.monotonic() + WAIT_SECONDS
        while not self._is_in(moment) and (due := self.stage.queue.next_due) is not None and due <= end:
            self.runner.run(self.stage.tick(due))

    def _meet(self, what: str, when: str | None) -> None:
        """Count what is about to happen, in the moment for which it waits, if any."""
        if when is not None and not self._is_in(when):
            self._await(when)
        self.met.update((moment, what) for moment in self._moments)


def run_machine(*, examples: int, steps: int, portion: int = 0) -> Counter[tuple[str, str]]:
    """Run so many examples of so many steps, the same ones for the same portion; answers what happened in which phase.

    Raises:
        AssertionError: with the example that broke an invariant.
    """
    Operator.met.clear()
    run_state_machine_as_test(
        seed(portion)(Operator),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False, phases=[Phase.generate],
        ),
    )  # fmt: skip
    return Counter(Operator.met)
