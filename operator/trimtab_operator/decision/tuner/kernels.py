"""The kernels: how alike two configurations are held to be.

Each is a constant, linear terms of the ordered knobs, an offset of each level of the others, and a smooth residual,
which never falls below the spread that real surfaces show around such lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.search import SearchSpace

CONSTANT_SD = 0.5
SLOPE_SDS = (0.1, 0.3, 0.9)
"""Of the power of two that one doubling multiplies by, around what was expected."""
OFFSET_SDS = (0.3, 0.8)
RESIDUAL_SD = 0.3
RESIDUAL_LENGTH = 0.6
"""Of the whole range of each ordered knob."""
SHARED_BY_LEVELS = 0.5
"""How much of a residual two levels of a knob without order have in common."""


def covariances(space: SearchSpace, places: Sequence[int]) -> tuple[Floats, Floats]:
    """Return each kernel's covariances of t configurations with all, (k, t, n), and its variances, (k, n)."""
    ordered, unordered = _ordered(space, places[0]), _unordered(space)
    linear = ordered[places] @ ordered.T
    same = (unordered[places][:, None, :] == unordered[None, :, :]).astype(np.float64)
    shared = CONSTANT_SD**2 + RESIDUAL_SD**2 * _residual(ordered, places, same)
    alone = CONSTANT_SD**2 + RESIDUAL_SD**2
    squares = (ordered**2).sum(axis=1)
    sds = list(product(SLOPE_SDS, OFFSET_SDS))
    covariance = [shared + slope**2 * linear + offset**2 * same.sum(axis=2) for slope, offset in sds]
    variance = [alone + slope**2 * squares + offset**2 * same.shape[2] for slope, offset in sds]
    return np.stack(covariance), np.stack(variance)


def _ordered(space: SearchSpace, origin: int) -> Floats:
    """Return the ordered knobs' values as natural logarithms, less those of the origin, (n, knobs)."""
    columns = [
        math.log(2.0) * np.array(knob.doublings)[space.levels[:, place]]
        for place, knob in enumerate(space.dimensions)
        if knob.doublings is not None
    ]
    values = np.stack(columns, axis=1) if columns else np.zeros((len(space.levels), 0))
    return np.asarray(values - values[origin])


def _unordered(space: SearchSpace) -> Floats:
    places = [place for place, knob in enumerate(space.dimensions) if knob.doublings is None]
    return space.levels[:, places].astype(np.float64)


def _residual(ordered: Floats, places: Sequence[int], same: Floats) -> Floats:
    spans = np.ptp(ordered, axis=0)
    unit = ordered / np.where(spans > 0.0, spans, 1.0)
    distances = ((unit[places][:, None, :] - unit[None, :, :]) ** 2).sum(axis=2)
    common = np.where(same > 0.0, 1.0, SHARED_BY_LEVELS).prod(axis=2)
    return np.asarray(np.exp(-distances / (2.0 * RESIDUAL_LENGTH**2)) * common)
