"""Learning curves: one model, trained on ever more records (Figure S5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .groups import Group
from .inputs import Entry
from .scores import Score
from .table import Row

CURVE_CSV = (
    "protocol", "curve", "model", "train_fraction", "training_records", "mae_eV", "mae_se_eV",
    "one_minus_r2", "r2_se",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One training-set size.

    Attributes:
        label: of the run.
        fraction: of the training part that was used.
        size: training records of a fold, on average.
        mae: in eV.
        r2: without unit.
    """

    label: str
    fraction: float
    size: float
    mae: Score
    r2: Score


@dataclass(frozen=True)
class Curve:
    """One model; ``points`` by size, at least two.

    Attributes:
        label: of the run on most records.
        points: of all its runs.
    """

    label: str
    points: list[Point]

    def lines(self, protocol: str) -> list[tuple[object, ...]]:
        """Lines of ``learning_curve.csv``."""
        return [
            (
                protocol, self.label, p.label, p.fraction, round(p.size, 1), p.mae.value,
                p.mae.error, None if p.r2.value is None else 1 - p.r2.value, p.r2.error,
            )
            for p in self.points
        ]  # fmt: skip


def curves_of(group: Group, rows: Sequence[Row]) -> list[Curve]:
    """Runs that differ in the fraction of the training records alone, put together.

    Args:
        group: models of one protocol.
        rows: their scores.
    """
    scored = {row.label: row for row in rows}
    together: dict[str, list[Entry]] = {}
    for entry in group.entries:
        if entry.config:
            together.setdefault(_kind_of(entry), []).append(entry)
    found = []
    for entries in together.values():
        if len({e.predictions.train_fraction for e in entries}) < 2:
            continue
        points = [
            Point(
                e.label,
                e.predictions.train_fraction,
                training_size(e),
                scored[e.label].scores["mae"],
                scored[e.label].scores["r2"],
            )
            for e in sorted(entries, key=lambda e: e.predictions.train_fraction)
        ]
        found.append(Curve(points[-1].label, points))
    return found


def training_size(entry: Entry) -> float:
    """Records that a model of this run was fitted to, the mean over its folds.

    A single split tells its training rows. Of folds it is what the fraction, and the part set
    apart for validation, leave of the records of all other folds: drawn by compound, so that it
    may be off by a few records.
    """
    p = entry.predictions
    fitted = [s for s, seed in zip(p.split, p.seed, strict=True) if s == "train" if
              seed == p.seed[0]]  # fmt: skip
    if fitted:
        return float(len(fitted))
    held = entry.held
    sizes: dict[tuple[int, str], int] = {}
    totals: dict[int, int] = {}
    for seed, fold in zip(held.seed, held.fold, strict=True):
        sizes[seed, fold] = sizes.get((seed, fold), 0) + 1
        totals[seed] = totals.get(seed, 0) + 1
    settings = entry.config.get("settings") or {}
    kept = p.train_fraction * (1 - float(settings.get("val") or 0.0))
    return float(np.mean([totals[seed] - n for (seed, _), n in sizes.items()])) * kept


def _kind_of(entry: Entry) -> str:
    """Everything that makes a run but its size and seed."""
    config = entry.config
    settings = {
        key: value
        for key, value in (config.get("settings") or {}).items()
        if key not in ("seed", "summary")
    }
    data = (config.get("data") or {}).get("fingerprint")
    more = [config.get(key) for key in ("recipe", "baseline", "method", "init")]
    return json.dumps([settings, data, more], sort_keys=True, default=str)
