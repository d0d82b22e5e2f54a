"""Metrics of many resamples at once.

A resample is how often each record is in it, so that every metric is one with whole weights: the
same to rounding as that of the records written out so often.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def resampled_metrics(
    target: FloatArray, prediction: FloatArray, threshold: float, counts: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """The figures of :func:`training.judging.scores.scores` for every resample.

    Args:
        target: ``[n]`` in eV.
        prediction: ``[n]`` in eV.
        threshold: eV; positive is a barrier below it.
        counts: ``[resamples, n]``, how often each record is in each resample.

    Returns:
        ``[resamples]`` each, NaN where undefined.
    """
    weight = counts.astype(np.float64)
    error = prediction - target
    positive, said = target < threshold, prediction < threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        n = weight.sum(axis=1)
        squared = weight @ error**2
        # About the mean of all records, so that little cancels.
        centred = target - target.mean()
        spread = weight @ centred**2 - (weight @ centred) ** 2 / n
        varied = _distinct(target, weight)
        ranked = varied & _distinct(prediction, weight)
        hits = weight @ (positive & said)
        return {
            "mae": weight @ np.abs(error) / n,
            "rmse": np.sqrt(squared / n),
            "r2": np.where(varied, 1 - squared / spread, np.nan),
            "spearman": np.where(ranked, _spearman(target, prediction, weight), np.nan),
            "accuracy": weight @ (positive == said) / n,
            "precision": hits / (weight @ said),
            "recall": hits / (weight @ positive),
            "roc_auc": _roc_auc(positive, -prediction, weight),
        }


def _distinct(values: FloatArray, weight: FloatArray) -> NDArray[np.bool_]:
    """Whether a resample holds two different values."""
    there = weight > 0
    low = np.where(there, values, np.inf).min(axis=1)
    high = np.where(there, values, -np.inf).max(axis=1)
    differ: NDArray[np.bool_] = high > low
    return differ


def _spearman(x: FloatArray, y: FloatArray, weight: FloatArray) -> FloatArray:
    """Correlation of the ranks."""
    a, b = (_ranks(values, weight) for values in (x, y))
    n = weight.sum(axis=1)
    # The mean rank is known, whatever the ties.
    a, b = a - (n[:, None] + 1) / 2, b - (n[:, None] + 1) / 2
    above = (weight * a * b).sum(axis=1)
    below = np.sqrt((weight * a * a).sum(axis=1) * (weight * b * b).sum(axis=1))
    correlation: FloatArray = above / below
    return correlation


def _ranks(values: FloatArray, weight: FloatArray) -> FloatArray:
    """``[resamples, n]``: rank of every record in every resample, ties sharing the mean rank."""
    below, level = _below(values, weight)
    ranks: FloatArray = below + (level + 1) / 2
    return ranks


def _roc_auc(positive: NDArray[np.bool_], score: FloatArray, weight: FloatArray) -> FloatArray:
    """Chance that a positive record has a higher score than a negative one, ties counting half."""
    negative = weight * ~positive
    below, level = _below(score, negative)
    won = (weight * positive * (below + level / 2)).sum(axis=1)
    area: FloatArray = won / ((weight @ positive) * negative.sum(axis=1))
    return area


def _below(values: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``[resamples, n]`` each: the weight of smaller values, and that of equal ones."""
    order = np.argsort(values, kind="stable")
    _, first, level = np.unique(values, return_index=True, return_inverse=True)
    start = np.searchsorted(values[order], values[first])
    equal = np.add.reduceat(weight[:, order], start, axis=1)
    smaller = np.cumsum(equal, axis=1) - equal
    return smaller[:, level], equal[:, level]
