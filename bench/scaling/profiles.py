"""The replicas that are simulated, as InferenceX measured them, and what offline profiling finds of one.

Llama 3.1 70B, fp8, vLLM, one H200 or two, prompts of 8192 and answers of 1024 tokens, calibrated on 4 and 32 clients;
what fits in the KV cache is reckoned as in trimtab_replay.profiles. Source: ai-dynamo/aiconfigurator, Apache-2.0.
"""

from __future__ import annotations

from dataclasses import replace

from bench.scaling.rival import Objectives, Profile
from trimtab_replay.calibration import calibrate
from trimtab_replay.closed_loop import Level
from trimtab_replay.serving import ServingModel

OBJECTIVES = Objectives(ttft_seconds=5.0, tpot_seconds=0.1, share=0.99)
MAX_SEQUENCES = 256
ITERATIONS = 20

ONE_H200: ServingModel = replace(
    calibrate(Level(4, 8192, 1024, 1.344806, 0.026136), Level(32, 8192, 1024, 3.132112, 0.075738)),
    kv_tokens=174_000,
    max_sequences=MAX_SEQUENCES,
)
TWO_H200: ServingModel = replace(
    calibrate(Level(4, 8192, 1024, 0.732723, 0.016324), Level(32, 8192, 1024, 1.820794, 0.046066)),
    kv_tokens=560_000,
    max_sequences=MAX_SEQUENCES,
)


BY_GPUS = {1: ONE_H200, 2: TWO_H200}


def profile(model: ServingModel) -> Profile:
    """Return what profiling one replica offline finds: steady load, requests of the mean length."""

    def carries(prompt_tokens: float, output_tokens: float) -> float:
        return carries_rps(model, prompt_tokens, output_tokens)

    return Profile(
        objectives=OBJECTIVES,
        max_sequences=model.max_sequences,
        kv_tokens=model.kv_tokens,
        ttft_of_tokens=lambda tokens: tokens * model.prompt_token_seconds + _first(model, 1.0),
        tpot_of_running=model.token_seconds,
        carries_rps=carries,
    )


def carries_rps(model: ServingModel, prompt_tokens: float, output_tokens: float) -> float:
    """Return the steady rate at which requests of one length just keep the objectives, without any chance."""
    reading = prompt_tokens * model.prompt_token_seconds
    steps = model.first_token_steps + output_tokens - 1.0
    rate = 0.0
    for _ in range(ITERATIONS):
        free = 1.0 - min(0.99, rate * reading)  # the part of the time in which no prompt is read
        by_token = OBJECTIVES.tpot_seconds * free
        first = (OBJECTIVES.ttft_seconds - reading - model.overhead_seconds) * free
        longest = min(by_token, first / max(model.first_token_steps, 1.0))
        running = (longest - model.step_seconds) / model.sequence_seconds
        running = max(1.0, min(running, model.max_sequences, model.kv_tokens / (prompt_tokens + output_tokens)))
        rate = 0.5 * (rate + running / (reading + steps * model.token_seconds(running) / free))
    return rate


def _first(model: ServingModel, running: float) -> float:
    return model.first_token_steps * model.token_seconds(running) + model.overhead_seconds
