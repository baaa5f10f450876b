"""Which GPU the figures are of."""

from __future__ import annotations

from dataclasses import dataclass

import pynvml
import torch


@dataclass(frozen=True)
class Card:
    """The card, and the versions of what computes on it."""

    name: str
    driver: str
    torch: str
    cuda: str


def read_card() -> Card | None:
    """Return the first GPU that torch can use; None where there is none."""
    if not torch.cuda.is_available():
        return None
    pynvml.nvmlInit()
    driver = pynvml.nvmlSystemGetDriverVersion()
    return Card(torch.cuda.get_device_name(0), driver, str(torch.__version__), str(torch.version.cuda))
