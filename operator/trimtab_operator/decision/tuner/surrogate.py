"""A Gaussian process over the configurations, averaged over a few kernels by how well each explains what was seen.

A dozen trials cannot fit hyper-parameters, and fixed ones are wrong for some workload: so each of a fixed, small set is
weighed by its marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab_operator.decision.tuner.kernels import covariances
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.search import Estimate, SearchSpace

_JITTER = 1e-8


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of a logarithm: by each of k kernels `mean` and `sd` (k, n), and the kernels' `weights` (k)."""

    mean: Floats
    sd: Floats
    weights: Floats

    def average(self, of: Floats) -> Floats:
        """Return the average over the kernels of something that each says of n configurations, (k, n) to (n)."""
        return np.asarray(self.weights @ of)


class Surrogate:
    """The kernels between n configurations and the t that were measured."""

    def __init__(self, space: SearchSpace, measured: tuple[int, ...]) -> None:
        self._places = list(measured)
        self._covariance, self._variance = covariances(space, self._places)

    def believe(self, expected: Floats, seen: Sequence[Estimate]) -> Belief:
        """Return the posterior of a logarithm that was expected so (n, up to a constant) and seen so (t)."""
        prior = expected - expected[self._places[0]] + seen[0].log
        surprise = np.array([each.log for each in seen]) - prior[self._places]
        noise = np.diag(np.array([each.sd for each in seen]) ** 2 + _JITTER)
        among = self._covariance[:, :, self._places] + noise
        root: Floats = np.linalg.cholesky(among).astype(np.float64)
        gain = np.linalg.solve(root, self._covariance)
        whitened = np.linalg.solve(root, np.broadcast_to(surprise[:, None], (len(root), len(seen), 1)))[..., 0]
        mean = prior + np.einsum("ktn,kt->kn", gain, whitened)
        variance = self._variance - (gain**2).sum(axis=1)
        return Belief(mean, np.sqrt(np.maximum(variance, _JITTER)), _weights(root, whitened))


def _weights(root: Floats, whitened: Floats) -> Floats:
    """Return the kernels' weights by their marginal likelihood (Rasmussen and Williams, equation 2.30)."""
    determinants = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    evidence = -0.5 * (whitened**2).sum(axis=1) - determinants
    weights = np.exp(evidence - evidence.max())
    return np.asarray(weights / weights.sum())
