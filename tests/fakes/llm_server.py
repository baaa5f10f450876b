"""A simulated LLM server whose limiting resource is known: a roofline, with a batch bounded by slots and KV cache.

It knows nothing of the rules that it tests. What limits is found by arithmetic: each resource in turn is made a fifth
larger, and the one that raises the capacity most is the truth. What can be seen follows from the same physics: activity
is time over time, occupancy is tokens over room, waiting is requests that arrive and are not served.

Assumptions:
* Continuous batching in steady state: each step makes one token of each of `n` sequences and prefills the prompts of
  those that join. Arithmetic is 2 FLOP for each weight and token; memory moves the weights once, and the KV cache of
  each sequence (half of its output on average). The two overlap more or less: (a^p + b^p)^(1/p) with p from 2 to 6.
  Each step also costs a fixed time outside the GPU.
* `n` is bounded by the slots (max-num-seqs) and by the KV cache: the smaller of the two, softly.
* More arithmetic means a higher clock. Energy per FLOP grows with the square of the clock; energy per byte does not.
  The clock is the smaller of its ceiling and of what the power limit allows, softly. Half of the servers have power to
  spare.
* A CPU front and a network link carry the requests; the capacity of the server is the smallest of front, link and
  engine, softly. "Softly" is the norm of exponent -12.
* It is looked at while the offered load is 1 to 1.15 times the capacity: below, nothing limits. Requests that cannot
  be served wait where the slowest stage is: in the engine's queue, or before the front, where no metric shows them.
* A counter reaches 0.74 to 0.90 of its cycles at most, which nobody tells the rules; readings have 3 % of noise, and
  the two pods differ by up to 5 %. The nearer to its limit the power would be at free clocks, the more often they
  are held.
* A server counts where a fifth more of the truth gains at least 5 % (of 20 %), and where the next resource gains at
  most three quarters of that: where two gain nearly the same, either name is right.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fakes.builders import NOW, a_distribution, a_pod, a_reading, a_target, buckets

from trimtab_api.findings import BottleneckKind as Kind
from trimtab_operator.model.signals import Point, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot

PODS = ("chat-0", "chat-1")
SOFT, OVERLAPS = 12.0, (2.0, 6.0)
DRAM_REACH = TENSOR_REACH = (0.74, 0.90)
NOISE, POD_SPREAD = 0.03, 0.05
LOWEST_CLOCK, HIGHEST_CLOCK = 0.1, 3.0
LEAST_GAIN, CLEAR = 0.05, 0.75
EACH = 45
SEEDS = Path(__file__).parent.parent / "data" / "llm_server_seeds.json"

# GPU: dense FLOP/s (16 bit), bytes/s of memory, bytes of memory, watts; from NVIDIA's data sheets.
GPUS = (
    (312e12, 2.0e12, 80e9, 400.0),  # A100 SXM
    (989e12, 3.35e12, 80e9, 700.0),  # H100 SXM
    (989e12, 4.8e12, 141e9, 700.0),  # H200 SXM
    (362e12, 0.86e12, 48e9, 350.0),  # L40S
    (125e12, 0.60e12, 24e9, 150.0),  # A10G
)
# Model: weights, bytes of KV cache for each token (16 bit).
MODELS = ((1.5e9, 28e3), (3e9, 36e3), (7e9, 524e3), (8e9, 131e3), (14e9, 197e3), (32e9, 262e3))


@dataclass(frozen=True)
class Server:
    """One replica and its traffic. Resources first; each of them can be made larger."""

    clock_ratio: float  # of the data sheet's FLOP/s
    memory_bytes_per_second: float
    kv_tokens: float
    slots: float
    cpu_cores: float
    network_bytes_per_second: float
    power_watts: float
    flop_per_second: float
    weights: float
    weight_bytes: float
    kv_bytes_per_token: float
    prompt_tokens: float
    output_tokens: float
    overhead_seconds: float
    overlap: float  # of arithmetic and memory: 1 is one after the other, infinity is at the same time
    cpu_seconds: float  # of one request
    network_bytes: float  # of one request
    idle_watts: float
    joules_per_flop: float  # at clock 1
    joules_per_byte: float

    @property
    def resident_tokens(self) -> float:
        """Tokens of a sequence in the cache, on average over its life."""
        return self.prompt_tokens + self.output_tokens / 2.0

    @property
    def sequences(self) -> float:
        """The most sequences that run at once."""
        return _least(self.slots, self.kv_tokens / self.resident_tokens)


RESOURCES: dict[Kind, str] = {
    Kind.COMPUTE: "clock_ratio",
    Kind.MEMORY_BANDWIDTH: "memory_bytes_per_second",
    Kind.KV_CAPACITY: "kv_tokens",
    Kind.QUEUE: "slots",
    Kind.CPU: "cpu_cores",
    Kind.NETWORK: "network_bytes_per_second",
    Kind.POWER_THROTTLE: "power_watts",
}


@dataclass(frozen=True)
class Step:
    """The time of one step and its parts, and the power that it draws."""

    arithmetic_seconds: float
    memory_seconds: float
    seconds: float
    watts: float


@dataclass(frozen=True)
class Scene:
    """A server, what limits it, and by how much a fifth more of each resource raises its capacity."""

    server: Server
    truth: Kind
    gains: dict[Kind, float]
    snapshot: Snapshot


def scenes() -> Iterator[Scene]:
    """Yield the recorded seeds' scenes: the first 45 of each truth, counted from seed 0."""
    for seeds in json.loads(SEEDS.read_text()).values():
        for seed in seeds:
            found = scene(seed)
            assert found is not None, f"seed {seed} has no clear truth any more: python -m fakes.llm_server"
            yield found


def scene(seed: int) -> Scene | None:
    """Draw one server; None where no single resource limits it clearly."""
    dice = random.Random(seed)
    server = draw(dice)
    whole = capacity(server)
    gains = {kind: capacity(_larger(server, name)) / whole - 1.0 for kind, name in RESOURCES.items()}
    truth, second = sorted(gains, key=lambda kind: -gains[kind])[:2]
    if gains[truth] < LEAST_GAIN or gains[second] > CLEAR * gains[truth]:
        return None
    return Scene(server, truth, gains, look(server, dice))


def record() -> None:
    """Find the seeds and write them down: most draws repeat a truth of which there are enough."""
    found: dict[str, list[int]] = {kind.value: [] for kind in RESOURCES}
    seed = 0
    while any(len(seeds) < EACH for seeds in found.values()):
        drawn = scene(seed)
        if drawn is not None and len(found[drawn.truth.value]) < EACH:
            found[drawn.truth.value].append(seed)
        seed += 1
    SEEDS.write_text(json.dumps(found, indent=1) + "\n")


def draw(dice: random.Random) -> Server:
    """Draw a server: any GPU, any model that fits, any traffic; front, link and power limit around what is needed."""
    flop, memory, room, watts = dice.choice(GPUS)
    weights, kv_bytes = dice.choice([model for model in MODELS if 2.0 * model[0] < 0.75 * room])
    weight_bytes = 2.0 * weights * dice.choice((1.0, 0.5))
    server = Server(
        clock_ratio=1.0,
        memory_bytes_per_second=memory,
        kv_tokens=(0.9 * room - weight_bytes) / kv_bytes,
        slots=float(dice.choice((8, 16, 32, 64, 128, 256, 512, 1024))),
        cpu_cores=math.inf,
        network_bytes_per_second=math.inf,
        power_watts=watts * dice.choice((dice.uniform(0.5, 1.0), 1.5)),
        flop_per_second=flop * dice.uniform(0.6, 0.9),
        weights=weights,
        weight_bytes=weight_bytes,
        kv_bytes_per_token=kv_bytes,
        prompt_tokens=_between(dice, 50.0, 6000.0),
        output_tokens=_between(dice, 20.0, 1500.0),
        overhead_seconds=_between(dice, 0.001, 0.015),
        overlap=dice.uniform(*OVERLAPS),
        cpu_seconds=_between(dice, 0.005, 0.5),
        network_bytes=_between(dice, 1e4, 1e7),
        idle_watts=0.15 * watts,
        joules_per_flop=dice.uniform(0.5, 0.9) * watts / flop,
        joules_per_byte=dice.uniform(0.2, 0.4) * watts / memory,
    )
    engine = engine_capacity(server)
    return replace(
        server,
        cpu_cores=engine * server.cpu_seconds * _between(dice, 0.6, 6.0),
        network_bytes_per_second=engine * server.network_bytes * _between(dice, 0.6, 6.0),
    )


def capacity(server: Server) -> float:
    """Requests per second that the whole server carries."""
    return _least(engine_capacity(server), *_front(server))


def engine_capacity(server: Server) -> float:
    """Requests per second that the engine carries with as many sequences as it may run."""
    return _rate(server, server.sequences)


def _front(server: Server) -> tuple[float, float]:
    return server.cpu_cores / server.cpu_seconds, server.network_bytes_per_second / server.network_bytes


def _rate(server: Server, sequences: float) -> float:
    return sequences / (server.output_tokens * step(server, sequences).seconds)


def step(server: Server, sequences: float) -> Step:
    """Work out one step at the highest clock that the power limit allows."""
    return _at(server, sequences, _clock(server, sequences))


def _clock(server: Server, sequences: float) -> float:
    """Return the highest clock whose power is allowed; power grows with the clock."""
    allowed = _root(lambda clock: _at(server, sequences, clock).watts - server.power_watts, LOWEST_CLOCK, HIGHEST_CLOCK)
    return _least(allowed, server.clock_ratio)


def _at(server: Server, sequences: float, clock: float) -> Step:
    tokens = sequences * (1.0 + server.prompt_tokens / server.output_tokens)
    flop = 2.0 * server.weights * tokens
    moved = server.weight_bytes + sequences * server.resident_tokens * server.kv_bytes_per_token
    arithmetic, memory = flop / (server.flop_per_second * clock), moved / server.memory_bytes_per_second
    seconds = server.overhead_seconds + (arithmetic**server.overlap + memory**server.overlap) ** (1.0 / server.overlap)
    joules = flop * server.joules_per_flop * clock**2 + moved * server.joules_per_byte
    return Step(arithmetic, memory, seconds, server.idle_watts + joules / seconds)


def look(server: Server, dice: random.Random) -> Snapshot:
    """Show two such replicas at 1 to 1.15 times their capacity, as their metrics would."""
    whole, engine = capacity(server), engine_capacity(server)
    offered = whole * dice.uniform(1.0, 1.15)
    arriving = min(offered, *_front(server))
    most = server.sequences
    sequences = most if arriving >= engine else _root(lambda n: _rate(server, n) - arriving, 0.01, most)
    served = min(whole, arriving)
    made = step(server, sequences)
    waiting = _queue(arriving / engine, most) + max(0.0, arriving - engine) * dice.uniform(20.0, 60.0)
    waited, service = waiting / served, server.output_tokens * made.seconds
    cpu = served * server.cpu_seconds / server.cpu_cores
    unbound = _at(server, sequences, server.clock_ratio).watts / server.power_watts
    gauges = {
        Signal.REQUESTS_PER_SECOND: served,
        Signal.REJECTED_PER_SECOND: 0.0,
        Signal.QUEUE_REQUESTS: round(waiting),
        Signal.RUNNING_REQUESTS: sequences,
        Signal.PROMPT_TOKENS_PER_SECOND: served * server.prompt_tokens,
        Signal.GENERATED_TOKENS_PER_SECOND: served * server.output_tokens,
        Signal.KV_CACHE_USED_RATIO: min(1.0, sequences * server.resident_tokens / server.kv_tokens),
        Signal.CPU_USED_CORES: cpu * server.cpu_cores,
        Signal.CPU_LIMIT_CORES: server.cpu_cores,
        Signal.CPU_THROTTLED_RATIO: _share((cpu - 0.9) / 0.05),
        Signal.NETWORK_BYTES_PER_SECOND: served * server.network_bytes,
        Signal.GPU_UTILIZATION_RATIO: min(1.0, 1.0 - 0.5 * server.overhead_seconds / made.seconds),
        Signal.GPU_DRAM_ACTIVE_RATIO: made.memory_seconds / made.seconds * dice.uniform(*DRAM_REACH),
        Signal.GPU_TENSOR_ACTIVE_RATIO: made.arithmetic_seconds / made.seconds * dice.uniform(*TENSOR_REACH),
        Signal.GPU_MEMORY_USED_RATIO: 0.9,
        Signal.GPU_POWER_WATTS: made.watts,
        Signal.GPU_THROTTLED: _share((unbound - 1.0) / 0.03),
    }
    return _snapshot(gauges, waited, service, server, dice)


def _snapshot(
    gauges: dict[Signal, float], waited: float, service: float, server: Server, dice: random.Random
) -> Snapshot:
    limit = server.network_bytes_per_second
    pods = tuple(a_pod(name, gpus=1, network_limit_bytes_per_second=limit, cpu_limit_cores=None) for name in PODS)
    per_pod = {pod: 1.0 + dice.uniform(-POD_SPREAD, POD_SPREAD) for pod in PODS}
    exact = {Signal.CPU_LIMIT_CORES, Signal.REJECTED_PER_SECOND}
    readings = {}
    for signal, value in gauges.items():
        seen = {pod: value * (1.0 if signal in exact else off * dice.gauss(1.0, NOISE)) for pod, off in per_pod.items()}
        bounded = signal.value.endswith("_ratio") or signal is Signal.GPU_THROTTLED
        readings[signal] = a_reading(signal, {pod: min(1.0, each) if bounded else each for pod, each in seen.items()})
    waiting = sum(readings[Signal.QUEUE_REQUESTS].by_pod.values())
    points = tuple(Point(NOW - 15.0 * number, waiting) for number in range(8, -1, -1))
    requests = max(30.0, gauges[Signal.REQUESTS_PER_SECOND] * 20.0)
    return Snapshot(
        now=NOW,
        target=a_target(pods=pods, runtime="vllm"),
        scrape_interval_seconds=15.0,
        gpu_source="dcgm",
        readings=readings,
        distributions={
            signal: a_distribution(signal, dict.fromkeys(PODS, buckets(requests, seconds)))
            for signal, seconds in (
                (Signal.QUEUE_SECONDS, waited),
                (Signal.LATENCY_SECONDS, waited + service),
            )
        },
        history={Signal.QUEUE_REQUESTS: Series(Signal.QUEUE_REQUESTS, SignalState.OK, "", points)},
    )


def _queue(load: float, places: float) -> float:
    """Mean number that wait for one of so many places (Sakasegawa 1977, M/M/c), at most at a load of 0.98."""
    bounded = min(load, 0.98)
    return bounded ** math.sqrt(2.0 * (places + 1.0)) / (1.0 - bounded)


def _least(*values: float) -> float:
    """The smallest of them, softly: those that are near to it lower it further."""
    return sum(value**-SOFT for value in values) ** (-1.0 / SOFT)


def _larger(server: Server, name: str) -> Server:
    return replace(server, **{name: 1.2 * getattr(server, name)})


def _share(distance: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, distance))))


def _between(dice: random.Random, low: float, high: float) -> float:
    return math.exp(dice.uniform(math.log(low), math.log(high)))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses 0; the end that is nearest where it does not."""
    if rising(high) <= 0.0:
        return high
    for _ in range(22):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return low


if __name__ == "__main__":
    record()
