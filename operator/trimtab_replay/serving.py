"""What a replica is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ServingModel:
    """What passes take, in seconds, and what fits: sequences at once, and tokens in the KV cache."""

    step_seconds: float
    sequence_seconds: float
    prompt_token_seconds: float
    first_token_steps: float = 0.0
    overhead_seconds: float = 0.0
    max_sequences: int = 1024
    kv_tokens: float = math.inf

    def token_seconds(self, running: float) -> float:
        """Return what one decoding step takes."""
        return self.step_seconds + running * self.sequence_seconds
