"""The normal distribution, for arrays."""

from __future__ import annotations

import math

import numpy as np

from trimtab_operator.decision.tuner.surrogate import Belief
from trimtab_operator.model.arrays import Floats

_ERROR_TERMS = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def expected_excess(belief: Belief, level: float) -> Floats:
    """Return the expected positive part of a logarithm less `level`, averaged over the kernels, (n).

    Jones, Schonlau and Welch, Efficient Global Optimization, 1998, equation 15.
    """
    z = (belief.mean - level) / belief.sd
    excess = z * normal_cdf(z) + np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return belief.average(belief.sd * np.maximum(excess, 0.0))  # far below, what is left is the error of the formula


def normal_cdf(z: Floats) -> Floats:
    """Return P(Z <= z) to 1e-7 (Abramowitz and Stegun, 7.1.26)."""
    x = np.abs(z) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * x)
    tail = 0.5 * np.exp(-x * x) * t * np.polynomial.polynomial.polyval(t, _ERROR_TERMS)
    return np.asarray(np.where(z > 0.0, 1.0 - tail, tail))
