"""Devices and arrivals of the simulation."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Request(NamedTuple):
    """When it arrives (seconds) and how long it is (tokens)."""

    at: float
    length: int


@dataclass(frozen=True, slots=True)
class Device:
    """A model on a device: seconds of a pass, a row, a place of the padded batch and a token, and what is asked."""

    name: str
    per_pass: float
    per_row: float
    per_place: float
    budget_seconds: float
    largest: int = 32
    per_token: float = 0.0
    in_powers_of_two: bool = False  # a pass takes as long as one of the next power of two, as of captured graphs

    def seconds(self, rows: int, longest: int = 1, tokens: int = 0) -> float:
        """Return the mean time of a pass."""
        rows = 1 << (rows - 1).bit_length() if self.in_powers_of_two else rows
        return self.per_pass + rows * (self.per_row + self.per_place * longest) + self.per_token * tokens

    @property
    def saturation(self) -> float:
        """Requests of one token per second in batches of the largest size, one after another."""
        return self.largest / self.seconds(self.largest)


PACED = Device("paced", 0.004, 0.0004, 0.0, 0.030)
IN_POWERS = Device("powers", 0.004, 0.0004, 0.0, 0.030, in_powers_of_two=True)
DENSE = Device("dense", 0.004, 0.0001, 5e-6, 0.100)  # pays for padding; a batch of 32 * 256 tokens takes 48 ms
SLOW = Device("slow", 0.002, 0.0135, 0.0, 0.200, largest=16)  # the largest batch misses its deadline
PACKED = Device("packed", 0.004, 0.001, 0.0, 0.200, per_token=0.00025)  # leaves padding out; much as MiniLM on a core

Trace = Callable[[float, float, int], list[Request]]


def poisson(rate: float, seconds: float, seed: int) -> list[Request]:
    """Return arrivals at a constant rate, of one token."""
    draw, at, requests = random.Random(seed), 0.0, []
    while (at := at + draw.expovariate(rate)) < seconds:
        requests.append(Request(at, 1))
    return requests


def bursty(rate: float, seconds: float, seed: int) -> list[Request]:
    """Return arrivals at a rate that changes between 0.4 and 1.6 times the mean, each for 0.5 s on average."""
    draw, at, requests, high, until = random.Random(seed), 0.0, [], False, 0.0
    while at < seconds:
        if at >= until:
            high, until = not high, at + draw.expovariate(2.0)
        at += draw.expovariate(rate * (1.6 if high else 0.4))
        requests.append(Request(at, 1))
    return requests


def mixed(rate: float, seconds: float, seed: int) -> list[Request]:
    """Return Poisson arrivals of 8 to 256 tokens, as many short as long on a logarithmic scale."""
    draw = random.Random(seed + 1)
    lengths = (round(math.exp(draw.uniform(math.log(8), math.log(256)))) for _ in iter(int, 1))
    return [Request(request.at, length) for request, length in zip(poisson(rate, seconds, seed), lengths, strict=False)]


def drifting(seconds: float) -> Callable[[float], float]:
    """Return a slowdown over time: a device that takes 1.6 times as long in the middle third."""
    return lambda at: 1.6 if seconds / 3 <= at < 2 * seconds / 3 else 1.0
