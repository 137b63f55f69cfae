"""Intervals and proofs that hold however often one looks.

A difference is judged by the mixture sequential probability ratio test (Robbins 1970; Johari, Koomen, Pekelis and Walsh,
"Always Valid Inference", 2022): under a normal prior of spread `scale` over what the difference might be, the likelihood
ratio against "no difference" passes 1/alpha with a probability of at most alpha, at any of all looks together. Means of
calls are taken for normal, which is why nobody looks before some tens of calls.
"""

from __future__ import annotations

from math import inf, log, sqrt

from proxy.policy.experiments.sums import Moments
from proxy.policy.experiments.values import PARTS, Metric

ALPHA = 0.05  # how often a winner, or an interval, may be wrong
_SCALE = 0.25  # of the spread of one call: differences of about this size are found first
_FEW = 40  # calls: from so few, the spread of costs, which are skewed, is taken for twice as uncertain
_LEAST_SPREAD = 0.02  # of the mean: values that are all alike say little of the next one


def reach(variance: float, scale: float, alpha: float = ALPHA) -> float:
    """How far from an estimate of this variance the truth may be, at any look."""
    if variance == inf:
        return inf
    prior = scale**2
    return sqrt(variance * (variance + prior) / prior * (2 * log(1 / alpha) + log((variance + prior) / variance)))


def spread(moments: Moments, metric: Metric) -> float:
    """Of the values of one call, as far as so few say: never zero."""
    if metric in PARTS:
        hits = moments.mean * moments.n
        part = (hits + 1) / (moments.n + 2)  # as if it had happened once and once not
        return sqrt(part * (1 - part))
    return max(sqrt(moments.variance), abs(moments.mean) * _LEAST_SPREAD, 1e-12)


def variance_of(moments: Moments, metric: Metric) -> float:
    """Of the mean."""
    return spread(moments, metric) ** 2 / moments.n if moments.n else inf


def interval(moments: Moments, metric: Metric) -> tuple[float, float]:
    """Where the true mean is, with 95 % confidence at any look."""
    variance = variance_of(moments, metric) * (1 + _FEW / moments.n) if moments.n else inf
    far = reach(variance, _SCALE * spread(moments, metric))
    return moments.mean - far, moments.mean + far


def difference(one: Moments, other: Moments, metric: Metric, alpha: float, ratio: float = 1.0) -> tuple[float, float]:
    """The least and the most by which the mean of `one` is above `ratio` times the other's."""
    variance = variance_of(one, metric) + ratio**2 * variance_of(other, metric)
    scale = _SCALE * sqrt((spread(one, metric) ** 2 + (ratio * spread(other, metric)) ** 2) / 2)
    far, apart = reach(variance, scale, alpha), one.mean - ratio * other.mean
    return apart - far, apart + far


def least_above(moments: Moments, bound: float, metric: Metric, alpha: float) -> float:
    """The least by which a true mean is above a bound."""
    return moments.mean - bound - reach(variance_of(moments, metric), _SCALE * spread(moments, metric), alpha)
