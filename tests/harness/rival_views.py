"""A made-up replica and looks at fleets of it, for the rivals' tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.scaling.rival import FleetView, Objectives, PodView, Profile, Traffic

PROFILE = Profile(
    objectives=Objectives(ttft_seconds=1.0, tpot_seconds=0.05, share=0.99),
    max_sequences=256,
    kv_tokens=100_000.0,
    ttft_of_tokens=lambda tokens: tokens / 10_000.0,
    tpot_of_running=lambda running: 0.01 + 0.001 * running,
    carries_rps=lambda prompt_tokens, output_tokens: 2_000.0 / (prompt_tokens + output_tokens),
)
"""40 sequences run at 50 ms per token; 2 requests per second of 500 + 500 tokens are carried."""

WHOLE = 40


def pod(
    running: int = 0, waiting: int = 0, *, kv_ratio: float = 0.0, kv_tokens: float = 0.0, ready: bool = True
) -> PodView:
    return PodView("pod", 0.0, ready, waiting, running, kv_tokens, kv_ratio)


STARTING = pod(ready=False)


def traffic(
    arrived_rps: float = 0.0,
    finished_rps: float = 0.0,
    *,
    prompt_tokens: float = 500.0,
    output_tokens: float = 500.0,
    ttft_seconds: Sequence[float] = (),
    tpot_seconds: Sequence[float] = (),
) -> Traffic:
    return Traffic(
        arrived_rps, finished_rps, prompt_tokens, output_tokens, np.array(ttft_seconds), np.array(tpot_seconds)
    )


def view(
    *pods: PodView,
    now: float = 0.0,
    wanted: int | None = None,
    gateway_waiting: int = 0,
    gateway_prompt_tokens: float = 0.0,
    seen: Traffic | None = None,
) -> FleetView:
    of_window = traffic() if seen is None else seen
    asked = len(pods) if wanted is None else wanted
    return FleetView(now, asked, pods, gateway_waiting, gateway_prompt_tokens, lambda _seconds: of_window)
