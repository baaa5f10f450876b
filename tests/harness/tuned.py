"""A deployment that starts poorly, and the trial that makes it better: the ground of the scenarios about tuning."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.engines import Engines
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

    What that brings is far beyond the noise of a machine that runs everything else besides. While the canary is
    measured the operator's leader is killed, and a person asks for a new authority. The approval only sets the time at
    which it begins: engines attach, and the verified part of the load learns its answers, before the load sets in.
    """
    engines = Engines(room)
    poor = deployment(image, replicas=2, gpus=0, cpu_limit=CPU_LIMIT, environment=ENVIRONMENT, attached=True)
    room.apply(poor, service(), wish(rules={"approval": "Required"}, cache={"memory": {"max": GOOD_CACHE}}))
    room.wait_ready(2, seconds=180)
    rate = OVERLOAD * traffic.capacity(room.namespace)
    load = traffic.answered(room.namespace, rate, seconds=850, verified=VERIFIED_PER_SECOND, keys=Keys.FEW)
    with load as answers:
        name = str(engines.wait_trial("AwaitingApproval", after=set(), seconds=150)["metadata"]["name"])
        room.trimtab("approve", name)
        engines.wait_trial("Measuring", after=set(), seconds=400)
        os.kill(platform.process_of(platform.leader()), signal.SIGKILL)
        before = trusted(room.cluster, room.namespace)
        platform.cluster.kubectl("-n", NAMESPACE, "annotate", "secret", "trimtab-ca", "trimtab.dev/rotate=now")
        engines.wait_verdict(name, "Improved", seconds=330)
        engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 2)
        outcomes = answers.outcomes()
    return Tuned(room, engines, rate, name, outcomes, before)
