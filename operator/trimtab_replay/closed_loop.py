"""A closed loop around one replica: so many clients, each of which asks again as soon as it was answered."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trimtab_replay.replica import Replica
from trimtab_replay.serving import ServingModel

VARIATION = 0.2  # lengths are drawn evenly from so much below the longest to the longest, as load generators do
WARM_UP_ROUNDS, ROUNDS = 1.5, 4.0


@dataclass(frozen=True)
class Lengths:
    """What clients ask for, in tokens: each of the two is multiplied by a number that is drawn for every request."""

    prompt_tokens: float
    output_tokens: float
    draw: Callable[[np.random.Generator], float]

    def next(self, dice: np.random.Generator) -> tuple[int, int]:
        """Return the tokens of a prompt and of its output."""
        prompt, output = (max(1, round(each * self.draw(dice))) for each in (self.prompt_tokens, self.output_tokens))
        return prompt, output


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
    lengths = Lengths(prompt_tokens, output_tokens, lambda dice: dice.uniform(1.0 - VARIATION, 1.0))
    enough = math.ceil(ROUNDS * clients)
    found = play_closed_loop(model, clients, lengths, enough, np.random.default_rng(seed)).answered
    warm = int(WARM_UP_ROUNDS * clients)
    return Level(
        clients,
        prompt_tokens,
        output_tokens,
        float(found.ttft_seconds[warm:].mean()),
        float(found.tpot_seconds[warm:].mean()),
    )


def play_closed_loop(
    model: ServingModel, clients: int, lengths: Lengths, enough: int, dice: np.random.Generator
) -> Replica:
    """Return a replica that gave so many answers to so many clients."""
    replica = Replica(model, enough + clients + 1)
    spread = lengths.output_tokens * model.token_seconds(clients)  # clients that began together would stay together
    asking = sorted(dice.uniform(0.0, spread, clients).tolist())
    answered = 0
    while answered < enough:
        if asking and asking[0] <= replica.next_change:
            replica.arrive(max(replica.now, heapq.heappop(asking)), *lengths.next(dice))
        else:
            replica.advance(replica.next_change)
        for finished in replica.finished(answered):
            answered += 1
            heapq.heappush(asking, finished)
    return replica
