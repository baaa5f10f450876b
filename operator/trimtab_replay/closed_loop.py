"""A closed loop around one replica: so many clients, each of which asks again as soon as it was answered."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trimtab_replay.batching import Replica, Request, Served, ServingModel

VARIATION = 0.2  # lengths are drawn evenly from so much below the longest to the longest, as load generators do
WARM_UP_ROUNDS, ROUNDS = 1.5, 4.0


@dataclass(frozen=True)
class Level:
    """What is asked, and what was seen: clients, longest prompt and output in tokens, mean times in seconds."""

    clients: int
    prompt_tokens: int
    output_tokens: int
    ttft_seconds: float
    tpot_seconds: float


def run_closed_loop(model: ServingModel, clients: int, prompt_tokens: int, output_tokens: int, seed: int = 0) -> Level:
    """Run the loop until each client was answered about four times, the first rounds left out."""
    dice = np.random.default_rng(seed)
    served = _run(Replica(model), clients, (prompt_tokens, output_tokens), dice)[int(WARM_UP_ROUNDS * clients) :]
    return Level(
        clients,
        prompt_tokens,
        output_tokens,
        fmean(each.ttft_seconds for each in served),
        fmean(each.tpot_seconds for each in served),
    )


def _run(replica: Replica, clients: int, tokens: tuple[int, int], dice: np.random.Generator) -> list[Served]:
    spread = tokens[1] * replica.model.token_seconds(clients)  # clients that began together would stay together
    asking = sorted(dice.uniform(0.0, spread, clients).tolist())
    served: list[Served] = []
    number = 0
    while len(served) < ROUNDS * clients:
        if asking and asking[0] <= replica.next_change():
            prompt, output = (max(1, round(each * dice.uniform(1.0 - VARIATION, 1.0))) for each in tokens)
            number += 1
            answered = replica.arrive(Request(number, max(replica.now, heapq.heappop(asking)), prompt, output))
        else:
            answered = replica.advance(replica.next_change())
        served += answered
        for each in answered:
            heapq.heappush(asking, each.finished)
    return served
