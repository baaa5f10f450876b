"""How well answers agree with those of the unmodified model, from what the engines expose. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trimtab_api.engine_knobs import BASE_VARIANT

Json = dict[str, Any]


@dataclass(frozen=True)
class Accuracy:
    """Agreement with the unmodified model at one moment, 1 = the same answers, of the replica that agrees least.

    `modified` of `replicas` run something else than the model as it was deployed. `value` and `low`, the lower end of
    its 95 % interval, are None where none does, or where one that does has not said how well it agrees.
    """

    replicas: int
    modified: int
    value: float | None = None
    low: float | None = None

    def __str__(self) -> str:
        """Write it for a table."""
        if self.modified == 0:
            return "unmodified"
        if self.value is None or self.low is None:
            return f"unknown in {self.modified} of {self.replicas}"
        partly = "" if self.modified == self.replicas else f" in {self.modified} of {self.replicas}"
        return f"{self.value:.4f} (at least {self.low:.4f}){partly}"


def accuracy_of(variants: Sequence[Json], agreements: Sequence[Json]) -> Accuracy | None:
    """Read it from the rows of `trimtab_engine_variant` and `trimtab_engine_accuracy_ratio`; None without any row."""
    in_force = {row["metric"]["pod"]: row["metric"]["variant"] for row in variants if float(row["value"][1]) > 0}
    if not in_force:
        return None
    modified = {pod: variant for pod, variant in in_force.items() if variant != BASE_VARIANT}
    said: dict[str, dict[str, float]] = {}
    for row in agreements:
        labels = row["metric"]
        if modified.get(labels["pod"]) == labels["variant"]:
            said.setdefault(labels["pod"], {})[labels["bound"]] = float(row["value"][1])
    whole = [bounds for bounds in said.values() if {"value", "low"} <= bounds.keys()]
    if not modified or len(whole) < len(modified):
        return Accuracy(len(in_force), len(modified))
    least = min(whole, key=lambda bounds: bounds["low"])
    return Accuracy(len(in_force), len(modified), least["value"], least["low"])
