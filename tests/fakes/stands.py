"""A trial as it stands in one tick: the healthy default, two attached pods in service for an hour, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakes.builders import NOW, RULES, a_pod, a_policy, a_snapshot, a_target, an_engine, at, later
from fakes.ledger import an_entry

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.trial import OptimizationTrial
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.snapshot import Pod, Snapshot, Target
from trimtab_operator.trial.stand import Stand

BASELINE = {"from": at(-3000.0), "to": at(-1200.0), "requests": 7}
SURGED: dict[str, Any] = {"history": [an_entry(at=NOW - 300.0, why="Surge: cacheMemory 0→16Mi is to be tried")]}
"""Status of a policy for which a second replica was added five minutes ago, for a trial."""


def attached_pods(count: int = 2, **overrides: Any) -> tuple[Pod, ...]:
    """Serving pods that mount a token for their node's agent."""
    return tuple(a_pod(f"chat-{number}", attachable=True, **overrides) for number in range(count))


def attached_target(count: int = 2, **overrides: Any) -> Target:
    """A Deployment whose pods all can be attached."""
    return a_target(count, **{"pods": attached_pods(count), **overrides})


def engines(*settings: EngineSettings | EngineState | None) -> dict[str, EngineState]:
    """The engines of chat-0, chat-1 …, each by what it has put in force (None: as started)."""
    return {
        f"uid-chat-{number}": each if isinstance(each, EngineState) else an_engine(each, pod=f"chat-{number}")
        for number, each in enumerate(settings)
    }


def a_tuned_snapshot(*, after: float = 0.0, **fields: Any) -> Snapshot:
    """A trusted snapshot of an attached target, `after` seconds after NOW; fields are those of `a_snapshot`."""
    target = fields.pop("target", None) or attached_target()
    known = fields.pop("engines", None) or engines(*[None] * len(target.pods))
    return later(a_snapshot(target=target, engines=known, **fields), after)


def a_tuned_policy(*, status: Mapping[str, Any] | None = None, **spec: Any) -> OptimizationPolicy:
    """A policy past its baseline that lets knobs be turned and leaves replicas alone."""
    said: dict[str, Any] = {"scaling": None, "trial": RULES} | spec
    return a_policy(status={"phase": "Validation", "baseline": BASELINE} | dict(status or {}), **said)


def a_stand(
    trial: OptimizationTrial,
    *,
    policy: OptimizationPolicy | None = None,
    trials: tuple[OptimizationTrial, ...] = (),
    **snapshot: Any,
) -> Stand:
    """The trial in a tick; `trials` are older ones, other fields those of `a_tuned_snapshot`."""
    seen = a_tuned_snapshot(trials=(*trials, trial), **snapshot)
    asked = policy or a_tuned_policy()
    assert isinstance(seen.target, Target)
    return Stand(seen, analyze(seen, asked), asked, seen.target, trial)
