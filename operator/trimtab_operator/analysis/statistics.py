"""Small-sample statistics of a trial: quantiles of Student's t, correlated means, differences, two shares.

All exact or classical; no random numbers. Slots of one arm follow each other, so their values are not independent: the
number of independent ones is reckoned from the correlation of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

DUST = 1e-18  # squares below that share of the values are what rounding leaves of equal ones
MOST_CORRELATION = 0.9
LEAST_CHI_SQUARED = 0.01  # over its degrees of freedom; below that the approximation fails
_TINY = 1e-300
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Sample:
    """The mean of a series of slots, the variance of one slot, and how many independent slots it is worth."""

    mean: float
    variance: float
    independent: float


@dataclass(frozen=True)
class Interval:
    """An estimate with a two-sided interval."""

    point: float
    low: float
    high: float


def t_tail(t: float, freedom: float) -> float:
    """Return P(T > t) of Student's t for t >= 0 and any real number of degrees of freedom above 0."""
    x = freedom / (freedom + t * t)
    return 0.5 * _incomplete_beta(freedom / 2.0, 0.5, x)


def t_quantile(probability: float, freedom: float) -> float:
    """Return the t below which `probability` (0.5 to 1) of Student's distribution lies.

    Newton's method from the first two terms of the expansion about the normal quantile (Abramowitz and Stegun, 26.7.5):
    they lie left of the root, and the tail is convex, so that it rises to the root without overshooting.
    """
    normal, wanted, step = _NORMAL.inv_cdf(probability), 1.0 - probability, math.inf
    t = normal + (normal**3 + normal) / (4.0 * freedom)
    while step > 1e-10 * (1.0 + t):
        step = (t_tail(t, freedom) - wanted) / _t_density(t, freedom)
        t += step
    return t


def variance_limit(variance: float, freedom: float, confidence: float) -> float:
    """Return what a variance of normal values, estimated with so many degrees of freedom, does not exceed.

    By the quantile of chi-squared that E. B. Wilson and M. M. Hilferty (1931) give.
    """
    spread = 2.0 / (9.0 * freedom)
    root = 1.0 - spread - _NORMAL.inv_cdf(confidence) * math.sqrt(spread)
    return variance / max(LEAST_CHI_SQUARED, root**3)


def _t_density(t: float, freedom: float) -> float:
    log_scale = math.lgamma((freedom + 1.0) / 2.0) - math.lgamma(freedom / 2.0) - 0.5 * math.log(freedom * math.pi)
    return math.exp(log_scale - (freedom + 1.0) / 2.0 * math.log1p(t * t / freedom))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b) (DLMF 8.17.4 and 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function (Lentz's method)."""
    c, d = 1.0, 1.0 / _apart(1.0 - (a + b) * x / (a + 1.0))
    value, before, m = d, 0.0, 0
    while abs(value - before) > 1e-13 * abs(value):
        before, m = value, m + 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _apart(1.0 + term * d)
            c = _apart(1.0 + term / c)
            value *= c * d
    return value


def _apart(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def correlation(*series: tuple[float, ...]) -> float:
    """Return the correlation of neighbours, pooled over series of one process; 0 to 0.9.

    The estimate from few values is too low by about (1 + 4r)/n, n being the length of a series (F. H. C. Marriott and
    J. A. Pope, 1954); that is made good. A negative one is taken for 0: chance must not make few slots worth more.
    """
    squares = products = size = 0.0
    length = sum(map(len, series)) / len(series)
    for values in series:
        off = np.asarray(values) - float(np.mean(values))
        size += float(np.sum(np.square(values)))
        squares += float(off @ off)
        products += float(off[:-1] @ off[1:])
    if squares <= DUST * size:
        return 0.0
    raw = products / squares
    return min(MOST_CORRELATION, max(0.0, raw + (1.0 + 4.0 * raw) / length))


def sample(values: tuple[float, ...], neighbours: float) -> Sample:
    """Describe at least two slots whose neighbours correlate so much (first-order autoregression)."""
    found = np.asarray(values)
    independent = len(values) * (1.0 - neighbours) / (1.0 + neighbours)
    return Sample(float(np.mean(found)), float(np.var(found, ddof=1)), independent)


def difference(after: Sample, before: Sample, confidence: float, least_error: float) -> Interval:
    """Return the difference of two means with Welch's interval (degrees of freedom by Satterthwaite).

    `least_error` is the smallest standard error that is believed, however still the slots are; as it is no estimate, it
    counts by the normal distribution.
    """
    parts, probability = (each.variance / each.independent for each in (after, before)), (1.0 + confidence) / 2.0
    estimated = t_quantile(probability, freedom(after, before)) * math.sqrt(sum(parts))
    half = max(_NORMAL.inv_cdf(probability) * least_error, estimated)
    point = after.mean - before.mean
    return Interval(point, point - half, point + half)


def freedom(after: Sample, before: Sample) -> float:
    """Return Satterthwaite's degrees of freedom of the difference, at least 1."""
    shares = [each.variance / each.independent for each in (after, before)]
    spread = sum(
        share * share / max(1.0, each.independent - 1.0) for share, each in zip(shares, (after, before), strict=True)
    )
    if spread <= 0.0:
        return max(1.0, after.independent + before.independent - 2.0)
    return max(1.0, sum(shares) ** 2 / spread)


@dataclass(frozen=True)
class Shares:
    """Bad requests of all requests (above 0) in two arms, first and second."""

    bad: tuple[float, float]
    counts: tuple[float, float]

    @property
    def difference(self) -> float:
        """First share less second share."""
        return self.bad[0] / self.counts[0] - self.bad[1] / self.counts[1]

    def variance(self, overdispersion: float) -> float:
        """Return the variance of the difference of equal arms, from the pooled share."""
        pooled = sum(self.bad) / sum(self.counts)
        return overdispersion * pooled * max(0.0, 1.0 - pooled) * (1.0 / self.counts[0] + 1.0 / self.counts[1])


def log_share_ratio(after: Shares, before: Shares | None, confidence: float, overdispersion: float) -> Interval:
    """Return the logarithm of the ratio of two shares, less what it was before, with its interval.

    A half is added to each count, so that a share of 0 has a ratio too (S. D. Walter, 1975).
    """
    point, variance = _log_ratio(after)
    if before is not None:
        point_before, variance_before = _log_ratio(before)
        point, variance = point - point_before, variance + variance_before
    half = _NORMAL.inv_cdf((1.0 + confidence) / 2.0) * math.sqrt(overdispersion * variance)
    return Interval(point, point - half, point + half)


def _log_ratio(shares: Shares) -> tuple[float, float]:
    pairs = [(bad + 0.5, count + 0.5) for bad, count in zip(shares.bad, shares.counts, strict=True)]
    logs = [math.log(bad / count) for bad, count in pairs]
    return logs[0] - logs[1], sum(max(0.0, 1.0 / bad - 1.0 / count) for bad, count in pairs)


def overdispersion(series: Sequence[tuple[tuple[float, float], ...]]) -> float:
    """Return the variance of bad requests from slot to slot, as a multiple of that of independent ones.

    A series holds (bad, of how many) by slot and varies about its own share: Pearson's chi-squared over its degrees of
    freedom, pooled (P. McCullagh and J. A. Nelder, Generalized Linear Models, 4.5). 0 where no series varies.
    """
    squares = freedom = 0.0
    for slots in series:
        served = [(min(bad, count), count) for bad, count in slots if count > 0.0]
        counted = sum(count for _, count in served)
        share = sum(bad for bad, _ in served) / counted if served else 0.0
        if 0.0 < share < 1.0:
            squares += sum((bad - share * count) ** 2 / (share * (1.0 - share) * count) for bad, count in served)
            freedom += len(served) - 1
    return squares / freedom if freedom else 0.0


@dataclass(frozen=True)
class Excess:
    """By how much the first arm's share exceeds the second's, less what it did before; its variance for equal arms."""

    value: float
    variance: float

    @property
    def chance(self) -> float:
        """Probability (one-sided) that equal arms show so much at one look; 1 where no request is bad, or all are."""
        return 1.0 if self.variance <= 0.0 else 1.0 - _NORMAL.cdf(self.value / math.sqrt(self.variance))

    def chance_at_any_look(self, scale: float) -> float:
        """Return a bound on the probability that equal arms ever show so much, however often one looks.

        The inverse of a one-sided normal mixture of likelihood ratios (H. Robbins, 1970; S. R. Howard and others,
        Time-uniform, nonparametric, nonasymptotic confidence sequences, 2021). It is sharpest for an excess of `scale`.
        """
        if self.variance <= 0.0 or self.value <= 0.0:
            return 1.0
        score, prior = self.value / self.variance, 1.0 / (scale * scale)
        spread = 1.0 / self.variance + prior
        log_mixture = 0.5 * math.log(prior / spread) + score * score / (2.0 * spread)
        return min(1.0, math.exp(-log_mixture) / (2.0 * _NORMAL.cdf(score / math.sqrt(spread))))


def excess(after: Shares, before: Shares | None, overdispersion: float) -> Excess:
    """Compare two arms with what they were before, where the first was worse already.

    `overdispersion` is the variance over that of independent requests: neighbours wait in the same queue.
    """
    value, variance = after.difference, after.variance(overdispersion)
    if before is not None:
        value -= max(0.0, before.difference)
        variance += before.variance(overdispersion)
    return Excess(value, variance)
