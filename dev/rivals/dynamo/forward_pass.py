"""How long one pass of an engine takes: a stated law, where Dynamo has a fitted model (`aisimulate_core.sdk`).

Only the names that the planner imports are here. What it makes of the times, it makes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Law:
    """Milliseconds of one pass: so many to begin with, and so many for each thing in it."""

    base_ms: float
    prompt_token_ms: float
    request_ms: float
    kv_token_ms: float

    def pass_ms(self, scheduled: Mapping[str, float]) -> float:
        """Return the time of a pass with these requests in it."""
        return (
            self.base_ms
            + self.prompt_token_ms * scheduled["sum_prefill_tokens"]
            + self.request_ms * scheduled["num_decode_requests"]
            + self.kv_token_ms * scheduled["sum_decode_kv_tokens"]
        )


law = Law(1.0, 0.0, 0.0, 0.0)
"""Of the engine models that are made next."""


@dataclass
class ForwardPassPerfModelConfig:
    """What the planner describes an engine with; nothing here looks at it."""

    model: str
    system: str
    backend: str
    worker_type: str
    estimation_mode: str = "fpm_regression"
    tp: int = 1
    pp: int = 1
    estimator_config: dict[str, object] = field(default_factory=dict)

    @classmethod
    def from_legacy_engine_config(
        cls, engine: Mapping[str, str], worker_type: str, _options: Mapping[str, int]
    ) -> ForwardPassPerfModelConfig:
        """Return an engine without settings of an estimator."""
        return cls(engine["model_name"], engine["system_name"], engine["backend"], worker_type)


class RustForwardPassPerfModel:
    """An engine model that has nothing to learn: it is given the law."""

    def __init__(self, engine_law: Law) -> None:
        self._law = engine_law

    @classmethod
    def best_available(cls, _config: Mapping[str, object]) -> RustForwardPassPerfModel:
        """Return a model by the law that is set."""
        return cls(law)

    def tune_with_fpms(self, _iterations: Sequence[object]) -> None:
        """Learn nothing."""

    def diagnostics(self) -> dict[str, str]:
        """Say that it can be asked."""
        return {"readiness": "ready"}

    def estimate_forward_pass_time_ms(self, ranks: Sequence[Mapping[str, Mapping[str, float]]]) -> float:
        """Return the time of a pass of one engine; it has one rank."""
        return self._law.pass_ms(ranks[0]["scheduled_requests"])
