"""What may never be written, whatever happens: looked at before each write reaches the API server in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from fakes.tuned_stage import Tuned

from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.kube.resources import NODE_TUNINGS, PODS, POLICIES, TRIALS, Resource
from trimtab_operator.model.ledger import foreign_edits

LEAST, MOST, MOST_AT_ONCE = 1, 6, 1
STABILIZATION_SECONDS = 120.0
MOST_GAIN = 1.6  # of a replica with the best settings
LEDGER_SECONDS = 5.0  # the clock of a tick is that of its slot of answers, which all policies share
SEEN_WITHIN_SECONDS = 10.0  # one scrape, and answers that policies share
OLD_SECONDS = 300.0
ACTED_WITHIN_SECONDS = 60.0
"""An intent that was written while there were measurements may still be acted upon for so long."""
SWITCHED_WITHIN_SECONDS = 5.0

Json = dict[str, Any]


@dataclass
class Watch:
    """`mode` and `ceiling` are what people want now; `unsafe` says what was written against these rules.

    `written` are the intents that took effect, `changed_at` when they did. `in_vain` is of which baseline (its end) the
    search was in which a replica for a trial was last taken back unused.
    """

    stage: Tuned
    mode: str = "Apply"
    ceiling: str = "Apply"
    unsafe: list[str] = field(default_factory=list)
    blind_since: float | None = None
    ceiling_since: float = 0.0
    written: set[str] = field(default_factory=set)
    changed_at: list[float] = field(default_factory=list)
    in_vain: str = ""

    def __post_init__(self) -> None:
        kube = self.stage.kube
        self._scale, self._patch, self._create = kube.patch_scale, kube.patch, kube.create
        kube.patch_scale = self._watched_scale  # type: ignore[method-assign]
        kube.patch = self._watched_patch  # type: ignore[method-assign]
        kube.create = self._watched_create  # type: ignore[method-assign]
        self._patch_status = kube.patch_status
        kube.patch_status = self._watched_status  # type: ignore[method-assign]

    def look(self) -> None:
        """Note since when nobody sees anything fresh."""
        prometheus = self.stage.prometheus
        sees = not prometheus.down and prometheus.sample_age_seconds < OLD_SECONDS
        self.blind_since = None if sees else self.blind_since or self.stage.clock.now()

    def set_ceiling(self, mode: str) -> None:
        self.ceiling, self.ceiling_since = mode, self.stage.clock.now()

    @property
    def blind(self) -> bool:
        """Whether nothing fresh was seen for longer than it takes to act on what was decided before."""
        return self.blind_since is not None and self.stage.clock.now() - self.blind_since > ACTED_WITHIN_SECONDS

    @property
    def _switching(self) -> bool:
        """Whether the ceiling was set so lately that the operator may not know it yet."""
        return self.stage.clock.now() - self.ceiling_since < SWITCHED_WITHIN_SECONDS

    def _expect(self, **rules: bool) -> None:
        self.unsafe += [broken.replace("_", " ") for broken, holds in rules.items() if not holds]

    # Replicas

    async def _watched_scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> Json:
        intent = self.stage.status().get("intent") or {}
        live = self.stage.replicas()
        outside = not LEAST <= live <= MOST  # then the bounds are obeyed at once, whatever is measured
        self._expect(
            replicas_stay_within_the_bounds=LEAST <= replicas <= MOST,
            the_intent_of_a_write_stands_in_status=intent.get("to") == str(replicas),
            an_intent_is_written_once=intent.get("id") not in self.written,
            nothing_is_scaled_on_metrics_that_nobody_saw=outside or not self.blind,
            only_mode_Apply_scales=self.mode == "Apply",
            nothing_is_scaled_under_maxMode_Recommend=self.ceiling == "Apply" or self._switching,
            no_step_is_longer_than_allowed=outside or abs(replicas - live) <= MOST_AT_ONCE,
        )
        reason, search = str(intent.get("reason")), str((self.stage.status().get("baseline") or {}).get("to"))
        if reason.startswith("Surge:"):
            remembered = any(entry["why"].startswith("Surge:") for entry in self.stage.status().get("history", []))
            self._expect(a_replica_that_was_of_no_use_is_not_asked_for_again=self.in_vain != search or not remembered)
        if replicas < live - self._waiting and not outside:
            self._removed(replicas)
        try:
            return await self._scale(namespace, name, replicas, resource_version)
        finally:
            if self.stage.replicas() == replicas != live:
                self.written.add(str(intent.get("id")))
                self.changed_at.append(self.stage.clock.now())
                if self.stage.surge_stands() and reason.startswith(("Unschedulable:", "SurgeTooLate:")):
                    self.in_vain = search

    def _removed(self, replicas: int) -> None:
        stage, now = self.stage, self.stage.clock.now()
        edits = foreign_edits(PolicyStatus.model_validate(stage.status()), 0.0)
        last_change = max([*self.changed_at, *(edit.at.timestamp() for edit in edits)], default=0.0)
        carried = replicas * stage.load.capacity * MOST_GAIN
        self._expect(
            no_replica_is_removed_right_after_a_change=now - last_change >= STABILIZATION_SECONDS - LEDGER_SECONDS,
            the_rest_carries_the_largest_load_of_the_window=carried
            >= self._largest_load(now - STABILIZATION_SECONDS, now - SEEN_WITHIN_SECONDS),
            no_replica_is_removed_during_a_trial="currentTrial" not in stage.status(),
        )

    def _largest_load(self, since: float, until: float) -> float:
        past = [moment for moment in self.stage.past if moment.at <= until]
        begun = max((place for place, moment in enumerate(past) if moment.at <= since), default=0)
        return max(moment.requests_per_second for moment in past[begun:])

    @property
    def _waiting(self) -> int:
        """How many replicas have no node: to take them back takes nothing from anybody."""
        return len(self.stage.kube.names(PODS)) - len(self.stage.kube.placed_pods())

    # What is told of the load

    async def _watched_status(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str
    ) -> Json:
        if resource is POLICIES:
            told = {entry["id"] for entry in self.stage.status().get("history", [])}
            entries = [entry for entry in patch.get("history") or [] if entry["what"] == "LoadChanged"]
            if any(entry["id"] not in told for entry in entries):
                self._load_called_changed(patch)
        return await self._patch_status(resource, namespace, name, patch, resource_version)

    def _load_called_changed(self, patch: Json) -> None:
        status = self.stage.status()
        known = datetime.fromisoformat(status["baseline"]["from"]).timestamp()
        changes = [
            later.at for earlier, later in pairwise(self.stage.past) if earlier.input_tokens != later.input_tokens
        ]
        self._expect(
            no_load_is_called_changed_during_a_trial=self.stage.trials_under_way() == [],
            a_changed_load_leads_to_Discovery=patch.get("phase", status["phase"]) == "Discovery",
            the_baseline_of_a_changed_load_goes="baseline" in patch and patch["baseline"] is None,
            no_load_is_called_changed_twice=any(at >= known for at in changes),
        )

    # Settings of engines

    async def _watched_patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str | None = None
    ) -> Json:
        if resource is NODE_TUNINGS and "spec" in patch:
            self._tuned(patch["spec"])
        return await self._patch(resource, namespace, name, patch, resource_version)

    async def _watched_create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        if resource is NODE_TUNINGS:
            self._tuned(body["spec"])
        if resource is TRIALS:
            allowed = self.stage.kube.stored(POLICIES, str(namespace), "tune")["spec"]["trial"].get("design", "Auto")
            self._expect(only_the_allowed_design_is_tried=allowed in ("Auto", body["spec"]["design"]))
        return await self._create(resource, namespace, body)

    def _tuned(self, spec: Json) -> None:
        stage = self.stage
        held = {entry["podUid"]: entry["settings"] for entry in stage.entries()}
        changed, named = set(), set()
        for trial in stage.trials_under_way():
            wanted = {entry["podUid"] for entry in spec["engines"] if entry["settings"] == trial["spec"]["canary"]}
            changed |= {uid for uid in wanted if held.get(uid, trial["spec"]["canary"]) != trial["spec"]["canary"]}
            status = trial.get("status") or {}
            named |= wanted if status.get("phase") == "Validating" else set(status.get("changed", []))
        self._expect(
            no_node_is_written_under_maxMode_Recommend=self.ceiling == "Apply" or self._switching,
            no_engine_is_changed_on_metrics_that_nobody_saw=not changed or not self.blind,
            only_mode_Apply_changes_engines=not changed or self.mode == "Apply",
            the_trial_names_the_pods_that_it_changes=changed <= named,
        )
