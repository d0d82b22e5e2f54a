"""What a pre-training says of every property: predictions, metrics, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .files import write_csv, write_json
from .metrics import regression_metrics
from .plots import parity_panels
from .properties import Property

PREDICTIONS = ("crystal", "split", "property", "target", "prediction")


def write_property_results(
    folder: Path,
    properties: Sequence[Property],
    crystals: Sequence[str],
    predictions: Mapping[str, tuple[Sequence[int], Tensor, Tensor]],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Write ``predictions.csv``, ``metrics.json`` and ``parity.png``, all on the scale of -1 to 1.

    Args:
        folder: where.
        properties: the columns.
        crystals: names of all crystals.
        predictions: per split the positions of its crystals, the predictions and the targets
            ``[n, P]``, NaN where unknown.
        seed: of the bootstrap.

    Returns:
        The metrics as written. Per split those of all values together, ``mean_mae`` (mean over
        the properties), and under ``properties`` those of each, where the scale is known with
        ``mae_units`` and ``unit``.
    """
    rows: list[tuple[object, ...]] = []
    metrics: dict[str, Any] = {}
    panels: list[tuple[str, Any, Any, Mapping[str, Any]]] = []
    for split, (positions, predicted, target) in predictions.items():
        known = target.isfinite()
        each: dict[str, Any] = {}
        panels = []
        for column, p in enumerate(properties):
            chosen = known[:, column]
            if not bool(chosen.any()):
                continue
            true = target[chosen, column].double().numpy()
            said = predicted[chosen, column].double().numpy()
            figures: dict[str, Any] = dict(regression_metrics(true, said, seed=seed))
            # What the mean of the values would score: no model should lose to it.
            figures["mae_of_mean"] = float(np.abs(true - true.mean()).mean())
            if p.scale is not None:
                figures |= {"mae_units": figures["mae"] * p.scale, "unit": p.unit}
            each[p.name] = figures
            panels.append((p.title or p.name, true, said, figures))
        for i, column in known.nonzero().tolist():
            # The shortest number that is this one: 0.3, not 0.30000001192092896.
            value = float(str(target[i, column].numpy()))
            guess = round(float(predicted[i, column]), 6)
            rows.append((crystals[positions[i]], split, properties[column].name, value, guess))
        metrics[split] = {
            **regression_metrics(target[known].numpy(), predicted[known].numpy(), seed=seed),
            "mean_mae": float(np.mean([figures["mae"] for figures in each.values()])),
            "properties": each,
        }
    write_csv(folder / "predictions.csv", PREDICTIONS, rows)
    write_json(folder / "metrics.json", metrics)
    parity_panels(folder / "parity.png", panels, title=f"MPT, {split}")
    return metrics
