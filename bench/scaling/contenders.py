"""Who plays: ours, the rivals of the catalogue, and two that know the traffic: the best constant and a schedule.

The settings are those that `python -m bench.scaling.sweep` chose, the same for all traffic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.scaling.play import Stage
from bench.scaling.profiles import OBJECTIVES, profile
from bench.scaling.rival_controller import RivalController
from bench.scaling.rivals import constant, cron
from bench.scaling.rivals.catalog import CATALOG
from trimtab_api.policy import OptimizationPolicy
from trimtab_replay.policy_controller import PolicyController
from trimtab_replay.run import Controller

OURS, CONSTANT, CRON = "trimtab", "constant", "cron"
LARGEST_STEP = 100  # that the API takes
CHOSEN = Path(__file__).with_name("settings.json")
Build = Callable[[Stage], Controller]


@dataclass(frozen=True)
class Settings:
    """What a user of ours may set that matters here; no step is too large for anybody who plays."""

    stabilization: str = "5m"


SPACE: Mapping[str, tuple[object, ...]] = {
    "stabilization": ("1m", "90s", "2m", "3m", "4m", "5m", "6m", "8m", "10m"),
}


def swept() -> dict[str, tuple[type[Any], Mapping[str, tuple[object, ...]]]]:
    """Return the settings and the space of each contender that has some."""
    rivals = {name: (entry.settings, entry.space) for name, entry in CATALOG.items() if entry.space}
    return {OURS: (Settings, SPACE), **rivals}


def chosen() -> dict[str, Any]:
    """Return the settings that the sweep chose, by contender; the defaults of one that it does not name."""
    kept = json.loads(CHOSEN.read_text())["settings"] if CHOSEN.exists() else {}
    return {name: settings(**kept.get(name, {})) for name, (settings, _) in swept().items()}


def build(name: str, settings: Any) -> Build:
    """Return how a contender with these settings is made for a stage."""
    if name == OURS:
        return lambda stage: PolicyController(policy(settings, stage.plan.nodes))
    return lambda stage: RivalController(CATALOG[name].build(settings, profile(stage.plan.model)))


def fixed(replicas: int) -> Build:
    """Return a contender that keeps a number of replicas."""
    return build(CONSTANT, constant.Settings(replicas))


def scheduled(schedule: cron.Settings) -> Build:
    """Return a contender that keeps to a schedule."""
    return build(CRON, schedule)


def policy(settings: Settings, most_replicas: int) -> OptimizationPolicy:
    """Return the policy that ours plays."""
    percentile = round(100 * OBJECTIVES.share)
    spec = {
        "mode": "Apply",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama", "container": "server"},
        "objectives": {
            "timeToFirstToken": {"percentile": percentile, "max": f"{OBJECTIVES.ttft_seconds:g}s"},
            "interTokenLatency": {"percentile": percentile, "max": f"{1000 * OBJECTIVES.tpot_seconds:g}ms"},
        },
        "scaling": {
            "minReplicas": 1,
            "maxReplicas": most_replicas,
            "stabilization": settings.stabilization,
            "maxStep": min(LARGEST_STEP, most_replicas),
        },
        "observation": {"interval": "15s", "window": "1h"},
    }
    return OptimizationPolicy.model_validate({"metadata": {"name": "llama", "namespace": "bench"}, "spec": spec})
