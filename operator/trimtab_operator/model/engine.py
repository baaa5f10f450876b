"""One engine as the NodeTuning of its node shows it: what it was asked for, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.conditions import ConditionStatus
from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineCondition, EngineConditionType, EngineEntry, EngineReport
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.trial import Change
from trimtab_api.wire import settings_hash


@dataclass(frozen=True)
class EngineState:
    """Entry and report of one pod; None where there is none yet."""

    entry: EngineEntry | None = None
    report: EngineReport | None = None

    @property
    def attached(self) -> bool:
        """Whether the engine asks its node's agent for settings."""
        condition = self._condition(EngineConditionType.ATTACHED)
        return condition is not None and condition.status is ConditionStatus.TRUE

    @property
    def applied(self) -> EngineSettings | None:
        """Complete settings that the engine runs with; None before it has said so."""
        return None if self.report is None else self.report.applied

    def runs(self, settings: EngineSettings) -> bool:
        """Say whether the engine has put exactly this document in force, and nothing of it is still under way."""
        report = self.report
        return report is not None and not report.pending and report.applied_hash == settings_hash(settings.to_body())

    def words(self, knob: Knob) -> tuple[str, ...]:
        """Return the words that the engine declares for a choice; none where it does not declare the knob."""
        declared = () if self.report is None else self.report.knobs
        return next((each.allowed for each in declared if each.setting is knob), ())

    def under_way(self) -> str | None:
        """Return what the engine still works on, as a sentence; None where all has taken effect."""
        if self.report is None or not self.report.pending:
            return None
        return "; ".join(f"{each.setting} {each.value}: {each.phase}" for each in self.report.pending)

    def shadowed(self, change: Change) -> ShadowedSetting | None:
        """Return what the engine found of a change in shadow; None where it tells nothing of it."""
        rows = () if self.report is None else self.report.shadowed
        return next((row for row in rows if row.setting is change.knob and row.value == change.to), None)

    def refusal(self, of: EngineSettings | None = None) -> str | None:
        """Return what the engine would not take, as a sentence; None when it took everything.

        With `of`, only what these settings ask for counts: the report may still answer to earlier ones.
        """
        refused = () if self.report is None else self.report.refused
        if of is not None:
            asked = of.to_body()
            refused = tuple(each for each in refused if str(asked.get(each.setting)) == each.value)
        return "; ".join(f"{each.setting} {each.value}: {each.reason}" for each in refused) or None

    def _condition(self, kind: EngineConditionType) -> EngineCondition | None:
        if self.report is None:
            return None
        return next((each for each in self.report.conditions if each.type is kind), None)
