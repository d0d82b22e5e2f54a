"""How good predictions are, as regression and as classification, with errors by compound.

Paths in one compound are alike: standard errors come from resampling compounds with replacement,
each with all of its records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import (
    accuracy_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from linegraph.errors import InputError

from .predictions import Predictions
from .resampled import FloatArray, resampled_metrics

#: Names of the figures, in the order of tables.
METRICS = ("mae", "rmse", "r2", "spearman", "accuracy", "precision", "recall", "roc_auc")

#: Numbers drawn at once while resampling: bounds the memory, whatever the number of records.
_BLOCK = 2_000_000

#: Targets of one record may differ by so much (eV) between files, which are rounded.
_SAME = 1e-4


class Score(NamedTuple):
    """A figure and its bootstrap standard error, None where undefined."""

    value: float | None
    error: float | None


class Paired(NamedTuple):
    """A difference of mean absolute errors on common records, eV.

    Attributes:
        mae: of the first model minus that of the second: negative where the first is better.
        error: bootstrap standard error; NaN for records of one compound only.
        low: lower end of the 95 % interval.
        high: upper end.
        n: number of common records.
    """

    mae: float
    error: float
    low: float
    high: float
    n: int


def scores(
    predictions: Predictions, threshold: float = 0.65, resamples: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """Errors in eV, correlations, and how well low barriers are told from high ones.

    Of several seeds, every figure is the mean over the seeds, and a resample holds the same
    compounds for all of them. A figure is undefined (None) where a seed lacks what it needs: two
    different targets (r2), also two different predictions (spearman), a positive prediction
    (precision), a positive record (recall), both kinds (roc_auc). Resamples without a figure are
    left out of its standard error, which takes two compounds and two such resamples.

    Args:
        predictions: of one split; records without a target are passed over.
        threshold: eV; positive is a barrier below it.
        resamples: number of bootstrap resamples, at least 2.
        seed: of the resampling.

    Returns:
        ``mae``, ``rmse``, ``r2``, ``spearman``, ``accuracy``, ``precision``, ``recall``,
        ``roc_auc``.

    Raises:
        InputError: no record has a target, a record is predicted twice with one seed, too few
            resamples.
    """
    p = predictions.labelled()
    _check(p)
    by_seed = [p.rows(np.array(p.seed) == one) for one in sorted(set(p.seed))]
    points = [_points(part, threshold) for part in by_seed]
    compounds, member = np.unique(p.system, return_inverse=True)
    members = [member[np.array(p.seed) == one] for one in sorted(set(p.seed))]
    found: defaultdict[str, list[FloatArray]] = defaultdict(list)
    for counts in _drawn(len(compounds), len(p), resamples, seed):
        parts = [
            resampled_metrics(part.target, part.prediction, threshold, counts[:, who])
            for part, who in zip(by_seed, members, strict=True)
        ]
        for name in METRICS:
            found[name].append(np.mean([part[name] for part in parts], axis=0))
    return {
        name: _score([point[name] for point in points], np.concatenate(found[name]), len(compounds))
        for name in METRICS
    }


def paired_difference(
    a: Predictions, b: Predictions, resamples: int = 1000, seed: int = 0
) -> Paired:
    """How much larger the mean absolute error of one model is than that of another.

    On the records that both predict and that have a target, both judged on the same resampled
    compounds: what makes a record hard for both cancels. Of several seeds, a record's error is the
    mean over the seeds.

    Args:
        a: of one model, one split.
        b: of the other.
        resamples: number of bootstrap resamples, at least 2.
        seed: of the resampling.

    Raises:
        InputError: no common record, two targets for one record, a record that is predicted twice
            with one seed, too few resamples.
    """
    first, second = a.labelled(), b.labelled()
    _check(first)
    _check(second)
    ours, theirs = _targets(first), _targets(second)
    common = [name for name in ours if name in theirs]
    if not common:
        raise InputError(f"{a.name} and {b.name} predict no record in common", file=a.path)
    for name in common:
        if abs(ours[name] - theirs[name]) > _SAME:
            problem = f"target {ours[name]:g} eV for {a.name}, {theirs[name]:g} eV for {b.name}"
            raise InputError(problem, file=a.path, record=repr(name))
    errors = [_errors(p) for p in (first, second)]
    difference = np.array([errors[0][name] - errors[1][name] for name in common])
    system = dict(zip(first.names, first.system, strict=True))
    compounds, member = np.unique([system[name] for name in common], return_inverse=True)
    total = np.bincount(member, weights=difference)
    size = np.bincount(member)
    drawn = [
        counts @ total / (counts @ size)
        for counts in _drawn(len(compounds), len(common), resamples, seed)
    ]
    means = np.concatenate(drawn)
    if len(compounds) < 2:
        means = np.full(2, np.nan)
    low, high = np.percentile(means, [2.5, 97.5])
    error = float(means.std(ddof=1))
    return Paired(float(difference.mean()), error, float(low), float(high), len(common))


def _check(p: Predictions) -> None:
    if not len(p):
        raise InputError("no record has a target to judge by", file=p.path)
    seen = set()
    for key in zip(p.names, p.seed, strict=True):
        if key in seen:
            raise InputError("predicted in several splits", file=p.path, record=repr(key[0]))
        seen.add(key)


def _points(p: Predictions, threshold: float) -> dict[str, float]:
    """All figures of one seed, NaN where undefined."""
    positive, said = p.target < threshold, p.prediction < threshold
    spread = np.ptp(p.target) > 0
    ranked = spread and np.ptp(p.prediction) > 0
    both = positive.any() and not positive.all()
    return {
        "mae": mean_absolute_error(p.target, p.prediction),
        "rmse": root_mean_squared_error(p.target, p.prediction),
        "r2": r2_score(p.target, p.prediction) if spread else np.nan,
        "spearman": spearmanr(p.target, p.prediction).statistic if ranked else np.nan,
        "accuracy": accuracy_score(positive, said),
        "precision": precision_score(positive, said) if said.any() else np.nan,
        "recall": recall_score(positive, said) if positive.any() else np.nan,
        "roc_auc": roc_auc_score(positive, -p.prediction) if both else np.nan,
    }


def _score(points: list[float], resampled: FloatArray, compounds: int) -> Score:
    value = float(np.mean(points))
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value):
        return Score(None, None)
    if compounds < 2 or len(defined) < 2:
        return Score(value, None)
    return Score(value, float(defined.std(ddof=1)))


def _drawn(compounds: int, records: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each compound is in each resample, ``[block, compounds]`` at a time."""
    if resamples < 2:
        raise InputError("a standard error needs at least 2 resamples", field="resamples")
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // records)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = random.integers(compounds, size=(size, compounds))
        drawn += compounds * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * compounds).reshape(size, compounds)


def _targets(p: Predictions) -> dict[str, float]:
    return dict(zip(p.names, p.target.tolist(), strict=True))


def _errors(p: Predictions) -> dict[str, float]:
    """Absolute error of each record in eV, its mean over the seeds."""
    names, place = np.unique(p.names, return_inverse=True)
    total = np.bincount(place, weights=np.abs(p.prediction - p.target))
    return dict(zip(names.tolist(), (total / np.bincount(place)).tolist(), strict=True))
