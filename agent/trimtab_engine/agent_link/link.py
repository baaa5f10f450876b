"""The event loop's end of the link: puts documents in force between batches and says what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from trimtab_api.wire import MAX_PENDING, RefusedValue, SettingsReport
from trimtab_engine.agent_link.document import Document, Expected, Refusal, Trial, read_document
from trimtab_engine.agent_link.expiry import Timer, TrialEnd
from trimtab_engine.agent_link.history import History, Version
from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.agent_link.values import BASE_ONLY, Offers, declared_knobs, settings_body
from trimtab_engine.log import Log
from trimtab_engine.metrics import AgentState, LinkMetrics, SettingsChange
from trimtab_engine.settings import LiveSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """What the link's thread goes by; replaced as a whole, so that it may be read without a lock.

    `number` rises with each report, `known` is the entry to name in the next question, `ends_at` the monotonic second
    at which a trial ends.
    """

    number: int
    known: str | None
    report: bytes
    ends_at: float | None


class AgentLink:
    """Settings in force, the version they came with, and the report about them."""

    def __init__(
        self,
        *,
        started: LiveSettings,
        apply: Callable[[LiveSettings], None],
        settled: Callable[[], None],
        later: Callable[[float, Callable[[], None]], Timer],
        metrics: LinkMetrics,
        log: Log,
        offers: Offers = BASE_ONLY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`apply` puts settings in force; `settled` hears, perhaps often, that the first ones are known.

        `apply` may call `slow_is` for what takes time.
        """
        self._started = started
        self._apply = apply
        self._settled = settled
        self._metrics = metrics
        self._log = log
        self._offers = offers
        self._slow = SlowSettings()
        self._refused: list[RefusedValue] = []  # of the newest document
        self._end = TrialEnd(monotonic, later, self._expire)
        self._history = History()
        self._live = started
        self._applied_hash: str | None = None
        self._version: Version | None = None
        self._known: str | None = None
        self._expired = False  # a trial's fallback is in force
        self._number = 0
        self.standing = self._report()

    def deliver(self, body: bytes, pod_uid: str) -> bool:
        """Handle a document for this pod. Returns whether its entry could be read, so that it is not sent again."""
        outcome = read_document(body, Expected(pod_uid, self._started, self._history, self._offers))
        self._known = outcome.entry or self._known
        if isinstance(outcome, Refusal):
            self._refuse(outcome)
        else:
            self._accept(outcome)
        self._settled()
        return outcome.entry is not None

    def slow_is(self, slow: SlowSettings) -> None:
        """Report how it stands with the settings whose effect takes time; news only, and only in the event loop."""
        if slow != self._slow:
            self._slow = slow
            self.standing = self._report()

    def no_entry(self) -> None:
        """Note that there are no settings for this pod: what runs, runs on."""
        self._settled()

    def state_is(self, state: AgentState, reason: str) -> None:
        """Publish how it stands with the agent."""
        self._metrics.state_is(state)
        self._log.event("agent_state", state=state.value, reason=reason)

    def close(self) -> None:
        """Stop the clock of a trial; the process ends."""
        self._end.cancel()

    def _accept(self, document: Document) -> None:
        version, trial = document.version, document.trial
        self._history = self._history.after(version)
        self._version = version
        self._metrics.changes[SettingsChange.APPLIED].inc()
        self._metrics.generation.set(version.generation)
        self._log.event("settings_applied", generation=version.generation, hash=version.hash, trial=trial is not None)
        self._end.cancel()
        if trial is not None and trial.expires_in_seconds <= 0:
            self._expire(trial)
            return
        if trial is not None:
            self._end.begin(trial)
        self._expired, self._refused = False, []
        self._put_in_force(document.settings, version.hash)
        self.standing = self._report()

    def _refuse(self, refusal: Refusal) -> None:
        self._metrics.changes[SettingsChange.REFUSED].inc()
        for value in refusal.refused:
            self._log.event("document_refused", setting=value["setting"], value=value["value"], reason=value["reason"])
        self._version = refusal.version or self._version
        self._refused = refusal.refused
        self.standing = self._report()

    def _expire(self, trial: Trial) -> None:
        self._metrics.changes[SettingsChange.EXPIRED].inc()
        self._log.event("trial_expired", trial=trial.name, hash=trial.fallback_hash)
        self._expired, self._refused = True, []
        self._put_in_force(trial.fallback, trial.fallback_hash)
        self.standing = self._report()

    def _put_in_force(self, live: LiveSettings, settings_hash: str) -> None:
        self._live, self._applied_hash = live, settings_hash
        self._metrics.applied_is(settings_hash)
        self._apply(live)

    def _report(self) -> Standing:
        version, slow = self._version, self._slow
        refused = self._refused or list(slow.refused)
        report: SettingsReport = {
            "version": None
            if version is None
            else {"uid": version.uid, "generation": version.generation, "hash": version.hash},
            "applied": settings_body(self._live) | {knob.value: word for knob, word in slow.in_force.items()},
            "appliedHash": self._applied_hash,
            "refused": refused,
            "pending": list(slow.pending[:MAX_PENDING]),
            "expired": self._expired,
            "knobs": declared_knobs(self._offers),
        }
        if slow.shadowed:  # an agent of an older version refuses a report with a field that it does not know
            report["shadowed"] = list(slow.shadowed)
        self._number += 1
        return Standing(self._number, self._known, msgspec.json.encode(report), self._end.due_at)
