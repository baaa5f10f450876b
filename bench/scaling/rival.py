"""What a rival is, and what it may see. Each has its own period, and looks at pods as they are or as last scraped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PodView:
    """A pod: requests that wait and run in it, and tokens that they hold in its KV cache."""

    name: str
    created_at: float
    ready: bool
    waiting: int
    running: int
    kv_tokens: float
    kv_ratio: float

    @property
    def concurrency(self) -> int:
        """Requests in it, as its queue proxy counts them."""
        return self.waiting + self.running


@dataclass(frozen=True)
class Traffic:
    """What ended or came within the window that was asked for: means over requests; seconds of each request.

    `arrived_rps` is what the gateway saw; the rest is of answers that ended, empty and 0 where none did.
    """

    arrived_rps: float
    finished_rps: float
    prompt_tokens: float
    output_tokens: float
    ttft_seconds: Floats
    tpot_seconds: Floats


@dataclass(frozen=True)
class FleetView:
    """One look at the fleet. `wanted` is what was asked for last; draining pods are not in it."""

    now: float
    wanted: int
    pods: tuple[PodView, ...]
    gateway_waiting: int
    gateway_prompt_tokens: float
    traffic: Callable[[float], Traffic]
    """Of so many seconds before now."""

    @property
    def ready(self) -> tuple[PodView, ...]:
        """Those that serve."""
        return tuple(pod for pod in self.pods if pod.ready)


@dataclass(frozen=True)
class Objectives:
    """What the fleet is held to: a share of requests within both limits."""

    ttft_seconds: float
    tpot_seconds: float
    share: float


@dataclass(frozen=True)
class Profile:
    """What is true of one replica: what offline profiling would find. `carries` of (prompt, output tokens)."""

    objectives: Objectives
    max_sequences: int
    kv_tokens: float
    ttft_of_tokens: Callable[[float], float]
    """Seconds to read so many prompt tokens alone."""
    tpot_of_running: Callable[[float], float]
    """Seconds per output token with so many sequences running."""
    carries_rps: Callable[[float, float], float]
    """Requests per second of one replica at which the objectives are just met, by mean prompt and output tokens."""


class Rival(Protocol):
    """An autoscaler with its state; `scraped` says whether its pods are those of the last scrape."""

    period_seconds: float
    scraped: bool

    def wants(self, view: FleetView) -> int:
        """Return the replicas to ask for, not less than one."""
        ...
