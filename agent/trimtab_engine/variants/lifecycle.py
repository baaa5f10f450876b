"""The life of the variant that the settings ask for: wait for inputs, search, gate, report, in force; or refused.

Runs beside serving, one chore of the worker at a time. Nothing is put in force before it was found faster and accurate
on inputs that it was not chosen by. Going back to the original is immediate: it is never changed and never dropped. A
variant that leaves is kept for a grace period, so that going back to it is immediate too. No clock, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import Chore, ChoreFailed, ChoreOutcome, RowsRun
from trimtab_engine.variant_messages import DropVariant, LayerCost
from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import Capture, CapturedInput, TooFewInputs
from trimtab_engine.variants.course import (
    ORIGINAL,
    Admitted,
    Asked,
    Phase,
    Running,
    Standing,
    Wish,
    pursue,
    rebuilt,
    repeatable,
    still_good,
)
from trimtab_engine.variants.drift import RecentTraffic, drift
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.probe import Course, Decode, Probe, Refused
from trimtab_engine.variants.recheck import NO_LONGER_FASTER, checked_again, timed_again, timing_due
from trimtab_engine.variants.shadow import Shadow
from trimtab_engine.variants.spares import DropSpare, SpareMemory, Spares

WAIT_FOR_INPUTS_SECONDS = 600.0  # after which too few inputs are reported as a refusal; waiting goes on
_TOO_FEW_INPUTS = "TooFewInputs"  # the one reason of a refusal that may pass by itself
_NO_MEMORY = "MemoryShort: memory is short; the search begins when there is room again"
_MOST_DEATHS = 2  # of the worker within one course, after which it is refused


class VariantLife:
    """One model's variants on one worker; a source of chores."""

    def __init__(
        self,
        model: str,
        *,
        task: Callable[[], Task],
        decode: Decode,
        batch_size: Callable[[], int],
        capture: Capture | None,
        changed: Callable[[Standing], None],
        memory: SpareMemory,
    ) -> None:
        """`batch_size` is that which is served; `capture` None = turned off; `changed` hears what is published anew."""
        self._model = model
        self._task = task
        self._decode = decode
        self._batch_size = batch_size
        self._capture = capture
        self._changed = changed
        self._memory = memory
        self._wish = Wish()
        self._wished_at: float | None = None
        self._running: Running | None = None
        self._known: dict[Asked, Admitted] = {}
        self._spares = Spares()
        self._deaths = 0
        self._shadow: Shadow | None = None
        self._recent = RecentTraffic()
        self._timed_at = 0.0  # the variant in force, last
        self.profile: list[LayerCost] = []  # of the original, once a search has begun
        self.searches: Counter[str] = Counter()  # by outcome
        self.standing = Standing(Phase.ORIGINAL, BASE_VARIANT, ORIGINAL, self._wish, "", None)

    @property
    def in_force(self) -> str:
        """The variant that the next batch runs on."""
        return self.standing.in_force

    @property
    def shadow(self) -> Shadow | None:
        """The live comparison of the variant in force with the original; None while the original is in force."""
        return self._shadow

    def wish(self, wish: Wish, now: float) -> None:
        """Ask for something; what was under way for another wish is given up."""
        before, self._wish = self._wish, wish
        if wish == before and self._wished_at is not None:
            return
        self._wished_at, self._deaths = now, 0
        self._cancel()
        known = self._known.get(wish.asked)
        if wish.asked == ORIGINAL:
            self._to_original(now, Phase.ORIGINAL, "")
        elif wish.objection is not None:
            self._to_original(now, Phase.REFUSED, wish.objection)
        elif self._capture is None:
            self._to_original(now, Phase.REFUSED, "CaptureOff: without captured inputs no accuracy can be known")
        elif known is not None and known.variant in self._spares and still_good(known, wish):
            self._swap_to(known, now)
        else:
            self._to_original(now, Phase.WAITING, "")

    def worker_died(self, now: float) -> None:
        """Note that the worker holds only the original from now on; what is known of plans stays."""
        self._spares.clear()
        self._running = None
        if self._wish.asked != ORIGINAL and self.standing.phase is not Phase.REFUSED:
            self._deaths += 1
            if self._deaths > _MOST_DEATHS:
                self._to_original(now, Phase.REFUSED, "WorkerDied: the worker died again and again under this wish")
            else:
                self._to_original(now, Phase.WAITING, "the worker was restarted")

    def answered(self, captured: CapturedInput, answer: bytes, variant: str) -> None:
        """Hear of one looked-at input and its answer: for the sets and the drift."""
        if self._capture is not None:
            self._capture.keep(captured)
        if variant == self.in_force != BASE_VARIANT:
            self._recent.see(captured.key, captured.length, self._decode(answer))

    def wants(self, now: float) -> bool:
        """Whether to be told of one more answered input."""
        return self._capture is not None and self._capture.wants(now)

    @property
    def urgent(self) -> bool:
        """Whether the next chore gives memory back that is needed now."""
        beside = len(self._spares) - (self.in_force in self._spares)
        return self._memory.short() and (self._running is not None or beside > 0)

    def next(self, now: float) -> Chore | None:
        """Return the next chore: drop what has left, go on with the course, or compare in the shadow."""
        short = self._memory.short()
        if short:
            self._give_spares_up(now)
        elif self._running is None:
            self._spares.expire(now)
            self._begin(now)
        drop = self._spares.next_drop
        if drop is not None:
            return DropSpare(DropVariant(0, self._model, drop))
        if short:
            return None
        if self._running is not None:
            return self._running.chore
        return None if self._shadow is None else self._shadow.next(now)

    def done(self, chore: Chore, outcome: ChoreOutcome, now: float) -> None:
        """Hear the end of the chore that `next` gave."""
        if isinstance(outcome, ChoreFailed) and outcome.reason == "worker_died":
            return  # `worker_died` tells
        if isinstance(chore, DropSpare):
            self._spares.dropped()
        elif self._running is not None and chore is self._running.chore:
            self._advance(self._running, outcome, now)
        elif self._shadow is not None and chore is self._shadow.chore and isinstance(outcome, RowsRun):
            self._compare(self._shadow, outcome, now)

    def _begin(self, now: float) -> None:
        """Start a course where one is wanted and possible."""
        if self.standing.phase is Phase.IN_FORCE:
            self._look_again(now)
            return
        if self._wish.asked == ORIGINAL or self._capture is None:
            return
        if self.standing.phase is Phase.REFUSED and not self.standing.reason.startswith(_TOO_FEW_INPUTS):
            return
        known, probe = self._known.get(self._wish.asked), self._probe()
        if known is not None and repeatable(known, self._wish):
            self._start(probe, rebuilt(probe, known))
            return
        sets = self._capture.sets()
        if isinstance(sets, TooFewInputs):
            late = self._wished_at is not None and now - self._wished_at > WAIT_FOR_INPUTS_SECONDS
            self._publish(Phase.REFUSED if late else Phase.WAITING, f"{_TOO_FEW_INPUTS}: {sets}")
            return
        if self._spares:  # of earlier courses: the search may come upon the same plans, and needs the room
            self._spares.drop_all_but(BASE_VARIANT)
            return
        try:
            self._start(probe, pursue(probe, self._wish, self._task(), sets))
        except Refused as refusal:
            self._to_original(now, Phase.REFUSED, f"{refusal.reason}: {refusal}")

    def _start(self, probe: Probe, course: Course[Admitted]) -> None:
        self._running = Running(probe, course, next(course))
        self._publish(Phase.SEARCHING if self.standing.phase is not Phase.IN_FORCE else Phase.IN_FORCE, "")

    def _advance(self, running: Running, outcome: ChoreOutcome, now: float) -> None:
        try:
            running.chore = running.course.send(outcome)
        except StopIteration as end:
            self._end(running, now)
            if not running.canceled:
                self._admit(end.value, now)
            return
        except Refused as refusal:
            self._end(running, now)
            if not running.canceled:
                self._refuse(refusal, now)
            return
        if running.canceled:
            running.course.close()
            self._end(running, now)

    def _end(self, running: Running, now: float) -> None:
        """Take over what the course has left in the worker; what is not put in force now is dropped next."""
        self._running = None
        self.profile = running.probe.profile or self.profile
        self._spares.add(running.probe.built, now)

    def _refuse(self, refusal: Refused, now: float) -> None:
        if self.standing.phase is Phase.IN_FORCE:
            self._known.pop(self.standing.settings, None)
            self.searches["no_longer_faster" if refusal.reason == NO_LONGER_FASTER else "rolled_back"] += 1
        else:
            self.searches["refused"] += 1
        self._to_original(now, Phase.REFUSED, f"{refusal.reason}: {refusal}", refusal.evidence)

    def _admit(self, admitted: Admitted, now: float) -> None:
        if self.standing.phase is not Phase.IN_FORCE:
            self.searches["admitted"] += 1
        self._timed_at = now
        self._known[admitted.asked] = admitted
        self._swap_to(admitted, now)

    def _swap_to(self, admitted: Admitted, now: float) -> None:
        if admitted.variant != self.in_force:
            self._spares.leave(self.in_force, now)
            self._recent.clear()
            self._shadow = Shadow(self._task(), self._decode, self._wish.min_accuracy)
        self._spares.hold(admitted.variant)
        self.standing = Standing(
            Phase.IN_FORCE, admitted.variant, admitted.asked, self._wish, "", admitted, admitted.evidence
        )
        self._changed(self.standing)

    def _to_original(self, now: float, phase: Phase, reason: str, evidence: Evidence | None = None) -> None:
        self._spares.leave(self.in_force, now)
        self._shadow = None
        self._recent.clear()
        self.standing = Standing(phase, BASE_VARIANT, ORIGINAL, self._wish, reason, None, evidence)
        self._changed(self.standing)

    def _give_spares_up(self, now: float) -> None:
        """Keep only what is in force; a course that makes variants begins anew when there is room again."""
        running, phase = self._running, self.standing.phase
        if running is not None and (running.canceled or phase is not Phase.IN_FORCE):
            running.course.close()
            self._end(running, now)
        self._spares.drop_all_but(self.in_force)
        if phase in (Phase.WAITING, Phase.SEARCHING):
            self._publish(Phase.NO_MEMORY, _NO_MEMORY)

    def _compare(self, shadow: Shadow, outcome: RowsRun, now: float) -> None:
        shadow.compare(outcome, now)
        lost = shadow.lost()
        if lost is not None:
            self._refuse(Refused("AccuracyLost", lost), now)

    def _look_again(self, now: float) -> None:
        """Gate what is in force again where the traffic has drifted, time it again where its batches are others."""
        admitted, recent = self.standing.admitted, self._recent.window()
        if admitted is None or self._capture is None:
            return
        drifted = recent is not None and drift(admitted.traffic, recent, 0) is not None
        if not drifted and not timing_due(admitted.found.batch_size, self._batch_size(), now - self._timed_at):
            return
        sets, probe = self._capture.sets(), self._probe()
        if isinstance(sets, TooFewInputs):
            return
        self.searches["gated_again" if drifted else "timed_again"] += 1
        if drifted:
            self._start(probe, checked_again(probe, self._wish, self._task(), sets, admitted))
        else:
            self._start(probe, timed_again(probe, admitted, sets.search))

    def _probe(self) -> Probe:
        return Probe(self._model, self._batch_size(), self._decode, self._memory.limit_bytes)

    def _cancel(self) -> None:
        if self._running is not None and not self._running.canceled:
            self._running.canceled = True
            self.searches["canceled"] += 1

    def _publish(self, phase: Phase, reason: str) -> None:
        held = self.standing
        self.standing = replace(held, phase=phase, wish=self._wish, reason=reason)
        if phase is not held.phase:  # counts of inputs rise all the time: no news
            self._changed(self.standing)
