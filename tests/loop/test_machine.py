"""Anything may happen to the loop, in any order: no unsafe write, and all is well again once it has stopped.

A rule-based machine (hypothesis) around the whole operator on fakes. TRIMTAB_MACHINE_EXAMPLES lets it run for longer.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

from fakes.tuned_stage import KNOBS, TRIAL, Tuned
from fakes.world import NAMESPACE
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from trimtab_operator.errors import KubeConflict, KubeError, KubeUnavailable
from trimtab_operator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, POLICIES

EXAMPLES = int(os.environ.get("TRIMTAB_MACHINE_EXAMPLES", "12"))
STEPS = 30
LEAST, MOST = 1, 6
OLD_SECONDS, ACTED_WITHIN_SECONDS = 300.0, 60.0
CALM_SECONDS, STEADY_SECONDS = 2400.0, 600.0
MET: Counter[tuple[str, str]] = Counter()
"""Phases of the policy, and what happened to it in them."""

ERRORS_OF_THE_CLUSTER = {"KubeConflict", "KubeUnavailable"}
"""What may end a tick; ends that are no errors are written in small letters."""
CALLS = st.sampled_from(
    [
        ("get", "OptimizationPolicy"), ("get", "Deployment"), ("list", "Pod"), ("list", "OptimizationTrial"),
        ("patch", "OptimizationPolicy"), ("patch", "OptimizationTrial"), ("create", "OptimizationTrial"),
        ("patch", "Deployment/scale"), ("patch", "NodeTuning"),
    ]
)  # fmt: skip
ERRORS: st.SearchStrategy[type[KubeError]] = st.sampled_from([KubeUnavailable, KubeConflict])


class Operator(RuleBasedStateMachine):
    """Each rule is something that happens; after each, the loop lives on for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stage = Tuned()
        self.unsafe: list[str] = []
        self.mode, self.ceiling = "Apply", "Apply"
        self.blind_since: float | None = None
        self._watch_scaling()

    @initialize(gain=st.sampled_from([0.7, 1.0, 1.6]))
    def begin(self, gain: float) -> None:
        self.stage.gain = gain
        scaling = {"minReplicas": LEAST, "maxReplicas": MOST, "stabilization": "2m"}
        self.stage.apply_policy(scaling=scaling, knobs=KNOBS, trial={**TRIAL, "maxTrials": 2})
        self._live(330.0)

    @rule(seconds=st.sampled_from([15.0, 60.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self._meet("time")
        self._live(seconds)

    @rule(rate=st.sampled_from([0.0, 1.0, 10.0, 25.0, 80.0]))
    def load_changes(self, rate: float) -> None:
        self._meet("load")
        self.stage.load.requests_per_second = rate
        self._live(60.0)

    @rule(down=st.booleans())
    def prometheus_goes_or_comes(self, down: bool) -> None:
        self._meet("prometheus")
        self.stage.prometheus.down = down
        self._live(45.0)

    @rule(age=st.sampled_from([2.0, OLD_SECONDS]), rate=st.sampled_from([1.0, 25.0, 80.0]))
    def samples_are_so_old_while_load_changes(self, age: float, rate: float) -> None:
        self._meet("age")
        self.stage.prometheus.sample_age_seconds = age
        self.stage.load.requests_per_second = rate
        self._live(150.0)

    @rule(call=CALLS, error=ERRORS, times=st.integers(1, 6), after=st.booleans())
    def the_api_server_fails(self, call: tuple[str, str], error: type[KubeError], times: int, after: bool) -> None:
        self._meet("api")
        self.stage.kube.fail(*call, error, times, after=after and call[0] != "get" and call[0] != "list")
        self._live(60.0)

    @rule()
    def the_operator_dies(self) -> None:
        self._meet("restart")
        self.stage.start()
        self._live(45.0)

    @rule(replicas=st.integers(1, 8))
    def somebody_scales(self, replicas: int) -> None:
        self._meet("foreign")
        self.stage.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": replicas}})
        self.stage.kube.settle(NAMESPACE, "llama")
        self._live(45.0)

    @rule(mode=st.sampled_from(["Apply", "Recommend", "Paused"]))
    def a_person_sets_the_mode(self, mode: str) -> None:
        self._meet("mode")
        self.mode = mode
        self.stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"mode": mode}})
        self._live(45.0)

    @rule(mode=st.sampled_from(["Apply", "Recommend"]))
    def an_administrator_sets_the_ceiling(self, mode: str) -> None:
        self._meet("ceiling")
        self.ceiling = mode
        self.stage.kube.edit(CONFIG_MAPS, "trimtab-system", "trimtab-mode", {"data": {"maxMode": mode}})
        self._live(45.0)

    @rule()
    def a_pod_is_replaced(self) -> None:
        self._meet("pod")
        names = sorted(body["metadata"]["name"] for body in self.stage.kube.all(PODS))
        if names:
            self.stage.kube.vanish(PODS, NAMESPACE, names[0])
        self.stage.kube.settle(NAMESPACE, "llama")
        self._live(45.0)

    @invariant()
    def nothing_unsafe_was_written(self) -> None:
        assert self.unsafe == []

    @invariant()
    def every_error_is_one_of_the_cluster(self) -> None:
        assert {name for name in self.stage.outcomes if not name.islower()} <= ERRORS_OF_THE_CLUSTER

    def teardown(self) -> None:
        """All faults end: the loop comes to rest where the load is carried, and then writes nothing any more."""
        try:
            if self.stage.queue.next_due is not None:
                self._come_to_rest()
        finally:
            self.runner.close()

    def _come_to_rest(self) -> None:
        stage = self.stage
        stage.kube.faults.clear()
        stage.prometheus.down, stage.prometheus.sample_age_seconds = False, 2.0
        stage.load.requests_per_second = 25.0
        self.mode = self.ceiling = "Apply"
        stage.kube.edit(CONFIG_MAPS, "trimtab-system", "trimtab-mode", {"data": {"maxMode": "Apply"}})
        stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"mode": "Apply"}})
        self._live(CALM_SECONDS)
        assert self.unsafe == []
        assert stage.condition("MetricsTrusted")[0] == "True"
        assert LEAST <= stage.replicas() <= MOST
        assert stage.replicas() * stage.load.capacity * max(1.0, stage.gain) >= stage.load.requests_per_second
        assert len(set(stage.sizes())) == 1, "every engine runs with the same settings"
        assert not (stage.status().get("tuning") or {}).get("change")
        written = len(stage.kube.writes)
        self._live(STEADY_SECONDS)
        assert stage.kube.writes[written:] == []

    def _live(self, seconds: float) -> None:
        sees = not self.stage.prometheus.down and self.stage.prometheus.sample_age_seconds < OLD_SECONDS
        self.blind_since = None if sees else self.blind_since or self.stage.clock.now()
        self.runner.run(self.stage.run(seconds))

    @property
    def _blind(self) -> bool:
        """Whether nothing fresh was seen for longer than it takes to act on what was decided before."""
        return self.blind_since is not None and self.stage.clock.now() - self.blind_since > ACTED_WITHIN_SECONDS

    def _meet(self, fault: str) -> None:
        MET[str(self.stage.status().get("phase")), fault] += 1

    def _watch_scaling(self) -> None:
        kube = self.stage.kube
        write = kube.patch_scale

        async def watched(namespace: str, name: str, replicas: int, resource_version: str) -> dict[str, Any]:
            status = self.stage.status()
            intent = status.get("intent") or {}
            for problem, holds in {
                f"{replicas} replicas are outside of {LEAST} to {MOST}": LEAST <= replicas <= MOST,
                f"{replicas} replicas without that intent: {intent}": intent.get("to") == str(replicas),
                "a write on metrics that nobody saw": not self._blind,
                f"a write in mode {self.mode}": self.mode == "Apply",
                f"a write under maxMode {self.ceiling}": self.ceiling == "Apply",
            }.items():
                if not holds:
                    self.unsafe.append(problem)
            return await write(namespace, name, replicas, resource_version)

        kube.patch_scale = watched  # type: ignore[method-assign]


def test_whatever_happens_no_write_is_unsafe_and_the_loop_comes_to_rest() -> None:
    run_state_machine_as_test(
        Operator,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck), print_blob=False, phases=[Phase.generate],
        ),
    )  # fmt: skip
    for (phase, fault), count in sorted(MET.items()):
        print(f"{phase:16} {fault:12} {count}")
    assert {fault for _, fault in MET} >= {"api", "restart", "foreign", "prometheus", "pod"}
