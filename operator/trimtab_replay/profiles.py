"""Replicas whose speed was measured, ready to be simulated."""

from __future__ import annotations

from dataclasses import replace

from trimtab_replay.calibration import calibrate
from trimtab_replay.closed_loop import Level
from trimtab_replay.serving import ServingModel

# InferenceX, as collected in ai-dynamo/aiconfigurator (Apache-2.0): Llama 3.1 70B, fp8, vLLM, 2 x H200, 1024/1024.
_LOW = Level(4, 1024, 1024, ttft_seconds=0.121293, tpot_seconds=0.013914)
_HIGH = Level(32, 1024, 1024, ttft_seconds=0.271562, tpot_seconds=0.020346)

# 0.9 of 2 x 141 GB, less 70 GB of weights, over 80 layers x 8 heads x 128 x 2 x 2 bytes.
_KV_TOKENS = 560_000
_MOST_SEQUENCES = 256  # vLLM's --max-num-seqs

LLAMA_70B_ON_TWO_H200: ServingModel = replace(
    calibrate(_LOW, _HIGH), kv_tokens=_KV_TOKENS, max_sequences=_MOST_SEQUENCES
)
GPUS_OF_LLAMA_70B = 2
