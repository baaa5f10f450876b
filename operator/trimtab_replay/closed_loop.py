"""A closed loop around one replica: so many clients, each of which asks again as soon as it was answered."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from trimtab_replay.answers import Answers
from trimtab_replay.replica import Replica
from trimtab_replay.serving import ServingModel

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
    found = _run(model, clients, (prompt_tokens, output_tokens), np.random.default_rng(seed))
    warm = int(WARM_UP_ROUNDS * clients)
    return Level(
        clients,
        prompt_tokens,
        output_tokens,
        float(found.ttft_seconds[warm:].mean()),
        float(found.tpot_seconds[warm:].mean()),
    )


def _run(model: ServingModel, clients: int, tokens: tuple[int, int], dice: np.random.Generator) -> Answers:
    replica = Replica(model, math.ceil((ROUNDS + 1.0) * clients) + 1)
    spread = tokens[1] * model.token_seconds(clients)  # clients that began together would stay together
    asking = sorted(dice.uniform(0.0, spread, clients).tolist())
    answered = 0
    while answered < ROUNDS * clients:
        if asking and asking[0] <= replica.next_change:
            prompt, output = (max(1, round(each * dice.uniform(1.0 - VARIATION, 1.0))) for each in tokens)
            replica.arrive(max(replica.now, heapq.heappop(asking)), prompt, output)
        else:
            replica.advance(replica.next_change)
        for finished in replica.finished(answered):
            answered += 1
            heapq.heappush(asking, finished)
    return replica.answered
