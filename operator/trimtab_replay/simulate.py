"""Play a policy file on recorded traffic, and write what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_api.policy_status import PolicyStatus
from trimtab_replay.fleet import FleetPlan
from trimtab_replay.outcome import Outcome, outcome
from trimtab_replay.policy_controller import PolicyController, start_of
from trimtab_replay.profiles import GPUS_OF_LLAMA_70B, LLAMA_70B_ON_TWO_H200
from trimtab_replay.report import page
from trimtab_replay.run import Played, Run
from trimtab_replay.trace import read_trace

MISSED, UNUSABLE = 1, 2


@dataclass(frozen=True)
class Wish:
    """What is to be played, and where it is written."""

    policy: Path
    trace: Path
    report: Path | None = None
    json: Path | None = None
    times: int = 1
    startup_seconds: float = 120.0
    seed: int = 0


def simulate(wish: Wish) -> int:
    """Play it and print a summary. Exit 1: an objective was missed; 2: a file cannot be used."""
    try:
        policy, trace = read_policy(wish.policy), read_trace(wish.trace, wish.times, wish.seed)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    plan = FleetPlan(LLAMA_70B_ON_TWO_H200, wish.startup_seconds, GPUS_OF_LLAMA_70B)
    controller = PolicyController(policy)
    played = Run(controller, start_of(policy, plan, wish.seed), trace).play()
    found = outcome(policy, trace, played)
    print("\n".join(_lines(found, played, controller)))
    if wish.report is not None:
        wish.report.write_text(page(policy, found, played), encoding="utf-8")
    if wish.json is not None:
        wish.json.write_text(json.dumps(document(found, played, controller), indent=2) + "\n", encoding="utf-8")
    return 0 if all(each.met for each in found.attained) else MISSED


def read_policy(path: Path) -> OptimizationPolicy:
    """Return the policy of a file as if it were new and in Apply. Raises ValueError, OSError."""
    try:
        bodies = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
        policies = [each for each in bodies if each.get("kind") == "OptimizationPolicy"]
        if len(policies) != 1:
            raise ValueError(f"{path} holds {len(policies)} OptimizationPolicy objects; one is needed")
        policy = OptimizationPolicy.model_validate(policies[0])
    except (yaml.YAMLError, AttributeError, ValidationError) as error:
        raise ValueError(f"{path} is no OptimizationPolicy: {error}") from error
    if policy.spec.scaling is None:
        raise ValueError(f"{path}: spec.scaling is absent: there is nothing to replay; set scaling.maxReplicas")
    spec = policy.spec.model_copy(update={"mode": Mode.APPLY})
    metadata = policy.metadata.model_copy(update={"namespace": policy.metadata.namespace or "default"})
    return policy.model_copy(update={"spec": spec, "status": PolicyStatus(), "metadata": metadata})


def document(found: Outcome, played: Played, controller: PolicyController) -> dict[str, Any]:
    """Return what a run came to, for JSON."""
    return {
        "requests": found.requests,
        "unserved": found.unserved,
        "gpu_hours": found.gpu_hours,
        "attainment": {each.name: each.found for each in found.attained},
        "ticks": controller.ticks,
        "untrusted_ticks": controller.untrusted_ticks,
        "scalings": [asdict(each) for each in played.scalings],
    }


def _lines(found: Outcome, played: Played, controller: PolicyController) -> list[str]:
    most = max((wanted for _, wanted, _ in played.replicas), default=0)
    return [
        f"{found.requests} requests, {found.unserved} not answered",
        f"{controller.ticks} ticks, {controller.untrusted_ticks} of them on metrics that could not be trusted",
        f"{found.gpu_hours:.2f} GPU-hours, at most {most} replicas, {found.scale_events} scale events",
        *(
            f"{each.name} within {each.limit_seconds:g} s: {each.found:.2%} of requests, {each.wanted:.0%} wanted: "
            f"{'met' if each.met else 'MISSED'}"
            for each in found.attained
        ),
    ]
