"""Costs of modules summed up to shares of the kinds of layers, a bounded number of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from trimtab_engine.variant_messages import LayerCost

MAX_KINDS = 32
OTHER_KINDS = "(other)"
OUTERMOST = "(model)"  # what the outermost module does by itself
_TINY = 1e-12


def kind_of(name: str) -> str:
    """Return the path of a module without its numbers, so that the layers of one kind in a stack share a name."""
    return ".".join(part for part in name.split(".") if not part.isdigit())


def own_costs(inclusive: Mapping[str, float]) -> dict[str, float]:
    """Return what each module, by path, took without the modules inside it, of what it took with them; "" = all."""
    own = dict(inclusive)
    for name, value in inclusive.items():
        parent = name
        while parent:
            parent = parent.rpartition(".")[0]
            if parent in own:
                own[parent] -= value
                break
    return {name: max(value, 0.0) for name, value in own.items()}


def by_kind(costs: Mapping[str, tuple[float, float]]) -> list[LayerCost]:
    """Return the shares of each kind of layer, the slowest first, of (seconds, bytes) by module path.

    Kinds beyond `MAX_KINDS` are one.
    """
    return _shares((kind_of(name) or OUTERMOST, *cost) for name, cost in costs.items())


def averaged(passes: Sequence[Sequence[LayerCost]]) -> list[LayerCost]:
    """Return the mean shares of several passes, the slowest kind first; a kind that a pass does not name took none."""
    return _shares((cost.kind, cost.time_share, cost.memory_share) for costs in passes for cost in costs)


def _shares(costs: Iterable[tuple[str, float, float]]) -> list[LayerCost]:
    """Sum up (kind, time, memory) by kind, in whatever units, and divide by the sum of all."""
    kinds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, time, memory in costs:
        kind = kinds[name]
        kind[:] = kind[0] + time, kind[1] + memory
    times, memories = (max(sum(kind[column] for kind in kinds.values()), _TINY) for column in (0, 1))
    shares = [LayerCost(kind, time / times, memory / memories) for kind, (time, memory) in kinds.items()]
    ordered = sorted(shares, key=lambda cost: -cost.time_share)
    if len(ordered) <= MAX_KINDS:
        return ordered
    rest = ordered[MAX_KINDS - 1 :]
    other = LayerCost(OTHER_KINDS, sum(cost.time_share for cost in rest), sum(cost.memory_share for cost in rest))
    return [*ordered[: MAX_KINDS - 1], other]
