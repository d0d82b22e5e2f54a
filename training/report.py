"""The files of a run folder that say how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .bands import Band
from .data import compound_of, hop_length, ion_of
from .files import write_csv, write_json
from .metrics import FloatArray, paired_mae_difference, regression_metrics, trivial_predictions
from .plots import parity_plot

PREDICTIONS = (
    "sys_name", "split", "system", "class", "ion", "fold", "seed", "target_eV", "prediction_eV",
    "std_eV",
)  # fmt: skip


class Row(NamedTuple):
    """One prediction.

    Attributes:
        band: of which record.
        split: the part it is in.
        value: predicted barrier, eV.
        std: its standard deviation in eV, None where not known.
        fold: label of the fold, empty for one split.
        seed: of split and model.
        trivial: what trivial predictors say, by name, eV; all records of a split have it or none.
    """

    band: Band
    split: str
    value: float
    std: float | None = None
    fold: str = ""
    seed: int = 0
    trivial: Mapping[str, float] = {}


def write_rows(folder: Path, title: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Write ``predictions.csv``, ``metrics.json`` and ``parity.png``.

    Args:
        folder: where.
        title: of the plot.
        rows: all predictions, in the order to write them.

    Returns:
        The metrics as written, per split (:class:`training.metrics.Metrics`); of several seeds,
        the mean of each figure over the seeds, and ``seeds``, their number. Under ``trivial`` the
        same of trivial predictors, with the paired difference of mean absolute errors (model
        minus trivial, eV). Splits without any known target have predictions but no metrics. The
        parity plot shows the last split that has metrics.
    """
    write_csv(folder / "predictions.csv", PREDICTIONS, map(_cells, rows))
    metrics: dict[str, Any] = {}
    trivial: dict[str, Any] = {}
    last: list[Row] = []
    for split in dict.fromkeys(row.split for row in rows):
        known = [row for row in rows if row.split == split and row.band.target is not None]
        if not known:
            continue
        last = known
        by_seed = _by_seed(known)
        metrics[split] = _mean([_metrics(seed, part) for seed, part in by_seed.items()])
        for name in known[0].trivial:
            trivial[name] = _mean([_compared(s, part, name) for s, part in by_seed.items()])
    if last:
        parity_plot(
            folder / "parity.png",
            _targets(last),
            [row.value for row in last],
            title=f"{title} ({last[0].split})",
            metrics=metrics[last[0].split],
            labels=[row.band.name for row in last],
        )
    if trivial:
        metrics["trivial"] = trivial
    write_json(folder / "metrics.json", metrics)
    return metrics


def trivial_for(
    bands: Sequence[Band], train: Sequence[int], test: Sequence[int]
) -> dict[str, FloatArray]:
    """What predictors say that know next to nothing about a structure.

    Args:
        bands: all records.
        train: positions of those to learn from; all have a target.
        test: positions of those to predict.

    Returns:
        Barriers in eV of the records to predict, by the predictor's name: ``train mean``, ``class
        mean`` (:func:`training.metrics.trivial_predictions`) and ``path distance``, a line fitted
        to barrier against hop length (:func:`training.data.hop_length`).
    """
    from sklearn.linear_model import LinearRegression

    targets = [float(bands[p].target or 0.0) for p in train]
    guesses = dict(
        trivial_predictions(
            targets, [bands[p].family for p in train], [bands[p].family for p in test]
        )
    )
    lengths = np.array([[hop_length(bands[p])] for p in (*train, *test)])
    line = LinearRegression().fit(lengths[: len(train)], targets)
    guesses["path distance"] = line.predict(lengths[len(train) :])
    return guesses


def _cells(row: Row) -> tuple[object, ...]:
    band, std = row.band, row.std
    return (
        band.name, row.split, compound_of(band), band.family, ion_of(band), row.fold, row.seed,
        band.target, round(float(row.value), 6), None if std is None else round(float(std), 6),
    )  # fmt: skip


def _by_seed(rows: Sequence[Row]) -> dict[int, list[Row]]:
    ordered = sorted(rows, key=lambda row: row.seed)
    return {seed: list(part) for seed, part in groupby(ordered, key=lambda row: row.seed)}


def _targets(rows: Sequence[Row]) -> list[float]:
    return [float(row.band.target or 0.0) for row in rows]


def _metrics(seed: int, rows: Sequence[Row]) -> dict[str, Any]:
    return dict(regression_metrics(_targets(rows), [row.value for row in rows], seed=seed))


def _compared(seed: int, rows: Sequence[Row], name: str) -> dict[str, Any]:
    target, guess = _targets(rows), [row.trivial[name] for row in rows]
    said = [row.value for row in rows]
    difference, error = paired_mae_difference(target, said, guess, seed=seed)
    return {
        **regression_metrics(target, guess, seed=seed),
        "mae_difference": difference,
        "mae_difference_se": error,
    }


def _mean(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every figure averaged; one that is undefined for a seed is undefined."""
    if len(blocks) == 1:
        return blocks[0]
    figures: dict[str, Any] = {}
    for key in blocks[0]:
        values = [block[key] for block in blocks]
        figures[key] = None if None in values else float(np.mean(values))
    # Drawn anew for every seed, a random split by compound is not always of one size.
    return {**figures, "n": round(figures["n"]), "seeds": len(blocks)}
