"""What a potential's NEB adds to a model: ``python -m benchmarks.potential RUN --table CSV``."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from linegraph import InputError
from training.files import write_csv
from training.judging.predictions import Predictions
from training.judging.scores import paired_difference, scores
from training.judging.tables import read_lines

from .report import markdown_table
from .runs import RESAMPLES, held_out, shown

FloatArray = NDArray[np.float64]

#: What is tried: how far towards the potential's barrier, and the difference (eV) beyond which it
#: is believed no more.
WEIGHTS = tuple(round(0.1 * k, 1) for k in range(9))
LIMITS = (0.2, 0.3, 0.5, 0.7, 1.0, 2.0)

#: Parts, by system, of which each is judged by what the others choose.
PARTS = 5

#: Of predictions that are nudged, and are written.
COLUMNS = ("sys_name", "prediction_eV", "std_eV")


class Nudge(NamedTuple):
    """A step towards another barrier: ``p + weight clip(m - p, -limit, limit)``, eV.

    Potentials are right about most hops and absurd about some, so the step is limited.
    """

    weight: float
    limit: float

    def __call__(self, predicted: FloatArray, potential: FloatArray) -> FloatArray:
        """Barriers ``[n]`` in eV; where the potential has none (NaN), as predicted."""
        step = np.clip(potential - predicted, -self.limit, self.limit)
        return predicted + self.weight * np.nan_to_num(step)


def best_nudge(target: FloatArray, predicted: FloatArray, potential: FloatArray) -> Nudge:
    """That with the least mean absolute error."""
    tried = [Nudge(*pair) for pair in product(WEIGHTS, LIMITS)]
    errors = [np.abs(nudge(predicted, potential) - target).mean() for nudge in tried]
    return tried[int(np.argmin(errors))]


def nudged(run: Predictions, potential: FloatArray) -> Predictions:
    """Held-out predictions, each nudged as the records of other compounds say is best."""
    found = run.prediction.copy()
    seeds = np.array(run.seed)
    for seed in sorted(set(run.seed)):
        rows = np.flatnonzero(seeds == seed)
        systems = [run.system[row] for row in rows]
        for known, judged in GroupKFold(PARTS).split(rows, groups=systems):
            a, b = rows[known], rows[judged]
            nudge = best_nudge(run.target[a], run.prediction[a], potential[a])
            found[b] = nudge(run.prediction[b], potential[b])
    return replace(run, name=f"{run.name}, nudged", prediction=found)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--table", required=True, type=click.Path(path_type=Path), help="CSV: sys_name, ...")
@click.option("--column", default="mace_neb_relax_eV", show_default=True, help="Of the table.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Of others, to nudge.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write them.")
def main(run: Path, table: Path, column: str, predictions: Path | None, out: Path | None) -> None:
    """Judge a cross-validated RUN whose barriers are moved towards those of a potential.

    How far is chosen by other compounds than those that are judged.
    """
    try:
        held = held_out(run)
        known = column_of(table, column)
        potential = np.array([known.get(name, np.nan) for name in held.names])
        moved = nudged(held, potential)
        found = [scores(one, resamples=RESAMPLES) for one in (held, moved)]
        pair = paired_difference(moved, held, RESAMPLES)
        chosen = best_nudge(held.target, held.prediction, potential)
        if predictions is not None and out is not None:
            write_nudged(predictions, known, chosen, out)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    count = len({n for n, m in zip(held.names, potential, strict=True) if np.isfinite(m)})
    click.echo(f"{count} of {len(set(held.names))} records have a barrier in {column}\n")
    rows = [
        [one.name, *(shown(figures[key]) for key in ("mae", "r2", "spearman"))]
        for one, figures in zip((held, moved), found, strict=True)
    ]
    click.echo(markdown_table(["", "MAE (eV)", "R2", "Spearman"], rows))
    click.echo(f"\nnudged - as it was: {pair.mae:+.3f} eV ({pair.low:+.3f} to {pair.high:+.3f})")
    click.echo(f"of all records: weight {chosen.weight:g}, limit {chosen.limit:g} eV")


def column_of(table: Path, column: str) -> dict[str, float]:
    """Numbers of a CSV by ``sys_name``; empty ones are left out.

    Raises:
        InputError: no such file or column, or what is no number.
    """
    _, lines = read_lines(table, ["sys_name", column])
    return {line["sys_name"]: line.number_in(column) for line in lines if line[column]}


def write_nudged(predictions: Path, known: dict[str, float], nudge: Nudge, out: Path) -> None:
    """Nudge the predictions of a CSV (``sys_name``, ``prediction_eV``, ``std_eV``)."""
    _, lines = read_lines(predictions, COLUMNS)
    names = [line["sys_name"] for line in lines]
    before = np.array([line.number_in("prediction_eV") for line in lines])
    after = nudge(before, np.array([known.get(name, np.nan) for name in names]))
    rows = [
        (name, round(float(value), 6), line["std_eV"])
        for name, value, line in zip(names, after, lines, strict=True)
    ]
    write_csv(out, COLUMNS, rows)


if __name__ == "__main__":
    main()
