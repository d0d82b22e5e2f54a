"""How good predictions are, how sure one can be of it, and what no model should lose to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from linegraph.errors import InputError

FloatArray = NDArray[np.float64]

#: Numbers drawn at once while bootstrapping: bounds the memory, whatever the number of records.
_BLOCK = 2_000_000

#: Targets within this many eV of each other are equal but for rounding.
_SAME = 1e-12


class Metrics(TypedDict):
    """The block of one split in ``metrics.json``; energies in eV.

    ``r2`` is None where it is undefined (fewer than two records, or all targets equal), and so
    is then ``r2_se``; that one also where fewer than two resamples have an R2.
    """

    r2: float | None
    mae: float
    rmse: float
    r2_se: float | None
    mae_se: float
    n: int


def regression_metrics(
    target: ArrayLike, prediction: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> Metrics:
    """Coefficient of determination and errors, with bootstrap standard errors.

    A standard error is the standard deviation of the quantity over resamples of the records,
    drawn with replacement (Table S5 of the paper). Resamples whose targets are all equal have no
    R2 and are left out of ``r2_se``. One record alone has no spread: its ``mae_se`` is 0.

    Args:
        target: ``[n]`` true values in eV.
        prediction: ``[n]`` predicted values in eV.
        resamples: number of bootstrap resamples, at least 2.
        seed: of the resampling.

    Raises:
        InputError: no records, unequal lengths, values that are not finite, too few resamples.
    """
    true, predicted = checked_pair(target, prediction)
    error = np.abs(predicted - true)
    mae, r2 = [], []
    for drawn in _resampled(len(true), resamples, seed):
        mae.append(error[drawn].mean(axis=1))
        r2.append(_r2_of_rows(true[drawn], error[drawn]))
    r2_point = float(r2_score(true, predicted)) if _spread(true) else None
    return Metrics(
        r2=r2_point,
        mae=float(mean_absolute_error(true, predicted)),
        rmse=float(root_mean_squared_error(true, predicted)),
        r2_se=None if r2_point is None else _standard_error(np.concatenate(r2)),
        mae_se=float(np.concatenate(mae).std(ddof=1)),
        n=len(true),
    )


def paired_mae_difference(
    target: ArrayLike, a: ArrayLike, b: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """How much larger the mean absolute error of ``a`` is than that of ``b``.

    Both are judged on the same resamples, so that what makes a record hard for both cancels.

    Args:
        target: ``[n]`` true values in eV.
        a: ``[n]`` predictions of one model in eV.
        b: ``[n]`` predictions of the other in eV.
        resamples: number of bootstrap resamples, at least 2.
        seed: of the resampling.

    Returns:
        MAE(a) - MAE(b) in eV, negative where ``a`` is the better one, and its standard error.

    Raises:
        InputError: as for :func:`regression_metrics`.
    """
    true, first = checked_pair(target, a)
    _, second = checked_pair(target, b)
    difference = np.abs(first - true) - np.abs(second - true)
    means = [difference[drawn].mean(axis=1) for drawn in _resampled(len(true), resamples, seed)]
    return float(difference.mean()), float(np.concatenate(means).std(ddof=1))


def trivial_predictions(
    train_target: ArrayLike, train_family: Sequence[str], test_family: Sequence[str]
) -> dict[str, FloatArray]:
    """What can be predicted without looking at any structure.

    Args:
        train_target: ``[n]`` targets to learn from, in eV.
        train_family: material class of each of them; empty where unknown.
        test_family: material class of each record to predict.

    Returns:
        ``"train mean"`` and ``"class mean"``, one value in eV per record to predict. A class
        that is unknown or was not trained on gets the train mean.

    Raises:
        InputError: no training records, unequal lengths, targets that are not finite.
    """
    target = _column(train_target, "target")
    if len(train_family) != len(target):
        raise InputError(f"{len(target)} targets but {len(train_family)} classes")
    members: defaultdict[str, list[float]] = defaultdict(list)
    for family, value in zip(train_family, target, strict=True):
        if family:
            members[family].append(float(value))
    mean = float(target.mean())
    class_mean = {family: float(np.mean(values)) for family, values in members.items()}
    return {
        "train mean": np.full(len(test_family), mean),
        "class mean": np.array([class_mean.get(f, mean) for f in test_family], dtype=np.float64),
    }


def checked_pair(target: ArrayLike, prediction: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Targets and predictions as two arrays ``[n]`` that belong together.

    Raises:
        InputError: no records, unequal lengths, more than one value per record, values that are
            not finite.
    """
    true, predicted = _column(target, "target"), _column(prediction, "prediction")
    if len(true) != len(predicted):
        raise InputError(f"{len(true)} targets but {len(predicted)} predictions")
    return true, predicted


def _column(values: ArrayLike, field: str) -> FloatArray:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("not a list of numbers", field=field) from None
    if column.ndim != 1:
        raise InputError(f"expected one number per record, got shape {column.shape}", field=field)
    if len(column) == 0:
        raise InputError("there are no records", field=field)
    bad = np.flatnonzero(~np.isfinite(column))
    if len(bad):
        raise InputError("missing, NaN or infinite", record=int(bad[0]), field=field)
    return column


def _resampled(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Positions of the records drawn, ``[block, n]`` at a time."""
    if resamples < 2:
        raise InputError("a standard error needs at least 2 resamples", field="resamples")
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // n)
    for start in range(0, resamples, block):
        yield random.integers(n, size=(min(block, resamples - start), n))


def _r2_of_rows(target: FloatArray, error: FloatArray) -> FloatArray:
    """R2 of each row ``[block]``, NaN where the row's targets have no spread."""
    total = np.where(_spread(target), target.var(axis=-1), np.nan)
    values: FloatArray = 1.0 - (error**2).mean(axis=-1) / total
    return values


def _spread(target: FloatArray) -> NDArray[np.bool_]:
    """Whether the targets differ along the last axis."""
    # Not by their variance, which rounding makes positive even for equal targets.
    differ: NDArray[np.bool_] = np.ptp(target, axis=-1) > _SAME
    return differ


def _standard_error(values: FloatArray) -> float | None:
    """Standard deviation of the values that are defined, None if fewer than two are."""
    defined = values[np.isfinite(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else None
