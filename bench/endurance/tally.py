"""What became of the requests of one load, and how memory grew meanwhile. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MEBIBYTE = 1 << 20
_UNSETTLED = 0.1
"""The first tenth of a run fills caches, pools and heaps: its growth is no leak."""


@dataclass
class Tally:
    """Requests by how they ended. `unanswered`: neither answer nor refusal, though the client stayed."""

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    without_reason: int = 0
    unanswered: int = 0

    @property
    def ended(self) -> int:
        """Requests that are done, one way or the other."""
        return self.answered + self.refused.total() + self.gone + self.without_reason + self.unanswered

    @property
    def holds(self) -> bool:
        """Whether every client that stayed got an answer, or a refusal with a reason."""
        return self.without_reason == 0 and self.unanswered == 0

    def count(self, status: int, reason: str | None) -> None:
        """Note one response."""
        if status == 200:
            self.answered += 1
        elif reason:
            self.refused[f"{status} {reason}"] += 1
        else:
            self.without_reason += 1

    def figures(self) -> dict[str, Any]:
        """Return it for a JSON file."""
        return {
            "answered": self.answered,
            "refused": dict(sorted(self.refused.items())),
            "gone": self.gone,
            "without_reason": self.without_reason,
            "unanswered": self.unanswered,
        }


def slope_mebibytes(samples: Sequence[tuple[int, int]], per_requests: int = 100_000) -> float | None:
    """Return the growth in MiB per 100 000 requests, by least squares over (requests done, resident bytes).

    The first tenth of the requests is left out; None with fewer than three samples after it.
    """
    settled = [(done, size) for done, size in samples if done >= _UNSETTLED * samples[-1][0]] if samples else []
    if len(settled) < 3:
        return None
    mean_done = sum(done for done, _ in settled) / len(settled)
    mean_size = sum(size for _, size in settled) / len(settled)
    spread = sum((done - mean_done) ** 2 for done, _ in settled)
    if spread == 0:
        return None
    covariance = sum((done - mean_done) * (size - mean_size) for done, size in settled)
    return covariance / spread * per_requests / MEBIBYTE
