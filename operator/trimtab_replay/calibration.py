"""What a replica's passes take, from two levels of load: four numbers that were measured give four of the model.

Time per output token grows with the sequences that run: its slope is what one more costs, in every step and by the
prompts that are read in between. Time to first token grows with the steps: how many it waits for is the ratio of the
two growths; what does not grow is half the prompt's own time and half overhead, which two levels cannot tell apart.
"""

from __future__ import annotations

import math

from trimtab_replay.closed_loop import VARIATION, Level
from trimtab_replay.serving import ServingModel

PROMPT_SHARE = 0.5
MOST_OF_SLOPE = 0.5  # prompts do not explain more of the growth of steps than that
LEAST_STEP_SECONDS = 1e-6


def calibrate(low: Level, high: Level) -> ServingModel:
    """Return the model of a configuration that was measured at these two levels, with the same lengths.

    Raises ValueError where the levels are not two, or do not grow.
    """
    if high.clients <= low.clients or high.tpot_seconds <= low.tpot_seconds:
        raise ValueError(f"{high.clients} clients after {low.clients}: the second level must be higher and slower")
    prompt, output = (each * (1.0 - VARIATION / 2.0) for each in (low.prompt_tokens, low.output_tokens))
    slope = (high.tpot_seconds - low.tpot_seconds) / (high.clients - low.clients)
    steps, rest = _first_token(low, high)
    reading = min(PROMPT_SHARE * rest, MOST_OF_SLOPE * slope * output)
    stalled = reading / (output + steps)  # of each token, by each other sequence's prompt
    sequence = slope - stalled
    step = low.tpot_seconds - low.clients * sequence - (low.clients - 1) * stalled
    return ServingModel(
        step_seconds=max(LEAST_STEP_SECONDS, step),
        sequence_seconds=sequence,
        prompt_token_seconds=reading / prompt,
        first_token_steps=steps,
        overhead_seconds=rest - reading,
    )


def _first_token(low: Level, high: Level) -> tuple[float, float]:
    """Return the steps that a first token waits for, and the seconds that do not grow with them."""
    steps = max(0.0, (high.ttft_seconds - low.ttft_seconds) / (high.tpot_seconds - low.tpot_seconds))
    rest = low.ttft_seconds - steps * low.tpot_seconds
    if rest >= 0.0:
        return steps, rest
    return math.sqrt(low.ttft_seconds / low.tpot_seconds * high.ttft_seconds / high.tpot_seconds), 0.0
