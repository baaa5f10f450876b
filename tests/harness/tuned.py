"""A deployment that starts poorly, and the trial that makes it better: the ground of the scenarios about tuning."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from harness.engines import Engines
from harness.gaps import CANARY, CURRENT_TRIAL, ROLLOUT, denied
from harness.platform import NAMESPACE, Platform
from harness.room import Room
from harness.traffic import Traffic
from harness.wire import trusted
from harness.workload import deployment, policy, service

from dev.load.outcomes import Outcome
from dev.load.plan import Keys

CACHE_AT_START_BYTES = 0
GOOD_CACHE, GOOD_CACHE_BYTES = "16Mi", 16 * 2**20
"""The cache that the first policy lets be tried, as the API writes it and as the engine says it."""
OVERLOAD = 1.8
"""Far above what was measured just before: machines were seen to do nearly twice as much a minute later."""
VERIFIED_PER_SECOND = 2.0
CPU_LIMIT = "300m"
ENVIRONMENT = {"TRIMTAB_MAX_BATCH_SIZE": "1", "TRIMTAB_QUEUE_LIMIT": "64"}
RULES: dict[str, Any] = {"window": "50s", "maxWindow": "200s", "minRequests": 100}
"""Most are judged at the first look or the second; the third is for a machine that does much else besides."""


@dataclass(frozen=True)
class Tuned:
    """What the first trial left.

    `rate` is more than the engines carried before it, in requests per second; `trusted` are the certificates (PEM) that
    they trusted before the authority was rotated.
    """

    room: Room
    engines: Engines
    rate: float
    trial: str
    outcomes: Counter[Outcome]
    trusted: str

    def turn(self, **knobs: Any) -> None:
        """Let other knobs be turned from now on, without asking anybody."""
        absent: dict[str, Any] = {"batching": None, "cache": None}
        spec = {"knobs": {**absent, **knobs}, "trial": {"approval": "None"}}
        self.room.kubectl("patch", "optpol", "chat", "--type=merge", "-p", json.dumps({"spec": spec}))


def batches(largest: int) -> dict[str, Any]:
    """The knobs of batching: batches of up to so many."""
    return {"maxBatchSize": {"min": 1, "max": largest}}


def wish(name: str = "chat", *, rules: dict[str, Any] | None = None, **knobs: Any) -> dict[str, Any]:
    """A policy that tunes engines and leaves replicas alone."""
    return policy(name, scaling=None, objectives=None, knobs=knobs, trial={**RULES, **(rules or {})})


def tune(room: Room, traffic: Traffic, platform: Platform, image: str) -> Tuned:
    """Deploy two replicas without a cache, overload them with the same few inputs, and let a trial find the cache.

    What that brings is far beyond the noise of a machine that runs everything else besides. The operator's leader is
    killed after each step that the trial stores and before what follows from it is written, and while the canary is
    measured; then a person asks for a new authority. The approval only sets the time at which the trial begins: engines
    attach, and the verified part of the load learns its answers, before the load sets in.
    """
    engines = Engines(room)
    poor = deployment(image, replicas=2, gpus=0, cpu_limit=CPU_LIMIT, environment=ENVIRONMENT, attached=True)
    with ExitStack() as load:
        with denied(room, CURRENT_TRIAL) as gap:
            room.apply(poor, service(), wish(rules={"approval": "Required"}, cache={"memory": {"max": GOOD_CACHE}}))
            room.wait_ready(2, seconds=180)
            rate = OVERLOAD * traffic.capacity(room.namespace)
            answers = load.enter_context(
                traffic.answered(room.namespace, rate, seconds=850, verified=VERIFIED_PER_SECOND, keys=Keys.FEW)
            )
            gap.wait(seconds=150)
            platform.kill_leader()
        name = str(engines.wait_trial("AwaitingApproval", after=set(), seconds=60)["metadata"]["name"])
        with denied(room, CANARY) as gap:
            room.trimtab("approve", name)
            gap.wait(seconds=400)
            platform.kill_leader()
        engines.wait_trial("Measuring", after=set(), seconds=90)
        platform.kill_leader()
        before = trusted(room.cluster, room.namespace)
        platform.cluster.kubectl("-n", NAMESPACE, "annotate", "secret", "trimtab-ca", "trimtab.dev/rotate=now")
        with denied(room, ROLLOUT) as gap:
            gap.wait(seconds=330)
            platform.kill_leader()
        engines.wait_verdict(name, "Improved", seconds=180)
        engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 2)
        outcomes = answers.outcomes()
    return Tuned(room, engines, rate, name, outcomes, before)
