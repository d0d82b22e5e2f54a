"""The files of a run folder that say how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .bands import Band
from .files import write_csv, write_json
from .metrics import paired_mae_difference, regression_metrics, trivial_predictions
from .plots import parity_plot

PREDICTIONS = ("sys_name", "split", "system", "class", "target_eV", "prediction_eV")


def write_results(
    folder: Path,
    title: str,
    bands: Sequence[Band],
    predictions: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    trivial: Mapping[str, np.ndarray[Any, Any]] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Write ``predictions.csv``, ``metrics.json`` and ``parity.png``.

    Args:
        folder: where.
        title: of the plot.
        bands: all records.
        predictions: per split, positions of its records and their predictions in eV.
        trivial: predictions of trivial predictors for the last split, by name.
        seed: of the bootstrap.

    Returns:
        The metrics as written: per split, and for the last one also of the trivial predictors,
        with the paired difference of mean absolute errors (model minus trivial, eV). Splits
        without any known target have predictions but no metrics.
    """
    rows: list[tuple[object, ...]] = []
    metrics: dict[str, Any] = {}
    shown: tuple[list[float], list[float], list[str]] | None = None
    for split, (positions, values) in predictions.items():
        known = [i for i, p in enumerate(positions) if bands[p].target is not None]
        for p, value in zip(positions, values, strict=True):
            b = bands[p]
            rows.append((b.name, split, b.system, b.family, b.target, round(float(value), 6)))
        if not known:
            continue
        target = [float(bands[positions[i]].target or 0.0) for i in known]
        predicted = [float(values[i]) for i in known]
        metrics[split] = dict(regression_metrics(target, predicted, seed=seed))
        shown = (target, predicted, [bands[positions[i]].name for i in known])
        last = split
    if shown is not None:
        target, predicted, names = shown
        for name, guess in (trivial or {}).items():
            difference, error = paired_mae_difference(target, predicted, guess, seed=seed)
            metrics.setdefault("trivial", {})[name] = {
                **regression_metrics(target, guess, seed=seed),
                "mae_difference": difference,
                "mae_difference_se": error,
            }
        parity_plot(
            folder / "parity.png",
            target,
            predicted,
            title=f"{title} ({last})",
            metrics=metrics[last],
            labels=names,
        )
    write_csv(folder / "predictions.csv", PREDICTIONS, rows)
    write_json(folder / "metrics.json", metrics)
    return metrics


def trivial_for(
    bands: Sequence[Band], train: Sequence[int], test: Sequence[int]
) -> dict[str, np.ndarray[Any, Any]]:
    """What predictors that look at no structure say about the test records."""
    return dict(
        trivial_predictions(
            [float(bands[p].target or 0.0) for p in train],
            [bands[p].family for p in train],
            [bands[p].family for p in test],
        )
    )
