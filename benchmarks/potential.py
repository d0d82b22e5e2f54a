"""What a potential's NEB adds to a model: ``python -m benchmarks.potential RUN --table CSV``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from linegraph import InputError
from linegraph.potential import Correction
from training.files import write_csv
from training.judging.predictions import Predictions
from training.judging.scores import paired_difference, scores
from training.judging.tables import read_lines
from training.neb.table import read_neb
from training.potentials import fit_correction, nested

from .report import markdown_table
from .runs import RESAMPLES, held_out, shown

FloatArray = NDArray[np.float64]

#: Of predictions that are read and written.
COLUMNS = ("sys_name", "prediction_eV", "std_eV")

#: eV, of examples: what a model says, and what a potential says beside it.
SAID, BESIDE = (0.3, 0.6, 1.0, 1.5), (0.2, 0.4, 0.6, 1.0, 2.0, 5.0)


def beside(run: Predictions, potential: FloatArray) -> Predictions:
    """Held-out predictions, each after a step learned from other compounds."""
    found = run.prediction.copy()
    seeds = np.array(run.seed)
    for seed in sorted(set(run.seed)):
        rows = np.flatnonzero(seeds == seed)
        systems = [run.system[row] for row in rows]
        found[rows] = nested(run.target[rows], run.prediction[rows], potential[rows], systems)
    return replace(run, name=f"{run.name}, with potential", prediction=found)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--table", required=True, type=click.Path(path_type=Path), help="CSV: sys_name, ...")
@click.option("--column", default="mace_neb_relax_eV", show_default=True, help="Of the table.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Of others, to move.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write them.")
def main(run: Path, table: Path, column: str, predictions: Path | None, out: Path | None) -> None:
    """Judge a cross-validated RUN whose barriers are moved towards those of a potential.

    How far is learned from other compounds than those that are judged.
    """
    try:
        held = held_out(run)
        known = read_neb(table, column).barriers
        potential = np.array([known.get(name, np.nan) for name in held.names])
        moved = beside(held, potential)
        found = [scores(one, resamples=RESAMPLES) for one in (held, moved)]
        pair = paired_difference(moved, held, RESAMPLES)
        learned = fit_correction(held.target, held.prediction, potential)
        if predictions is not None and out is not None:
            write_beside(predictions, known, learned, out)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    count = len({n for n, m in zip(held.names, potential, strict=True) if np.isfinite(m)})
    click.echo(f"{count} of {len(set(held.names))} records have a barrier in {column}\n")
    rows = [
        [one.name, *(shown(figures[key]) for key in ("mae", "r2", "spearman"))]
        for one, figures in zip((held, moved), found, strict=True)
    ]
    click.echo(markdown_table(["", "MAE (eV)", "R2", "Spearman"], rows))
    between = f"{pair.low:+.3f} to {pair.high:+.3f}"
    click.echo(f"\nwith potential - as it was: {pair.mae:+.3f} eV ({between})\n")
    click.echo("What becomes of a barrier (eV), learned from all records:\n")
    click.echo(examples(learned))


def examples(correction: Correction) -> str:
    """A table of what becomes of barriers, eV: by the model down, by the potential across."""
    found = correction(np.repeat(np.array(SAID)[:, None], len(BESIDE), axis=1), np.array(BESIDE))
    rows = [
        [f"{said:g}", *(f"{value:.2f}" for value in row)]
        for said, row in zip(SAID, found, strict=True)
    ]
    return markdown_table(["model \\ potential", *(f"{m:g}" for m in BESIDE)], rows)


def write_beside(
    predictions: Path, known: dict[str, float], correction: Correction, out: Path
) -> None:
    """Correct the predictions of a CSV (``sys_name``, ``prediction_eV``, ``std_eV``)."""
    _, lines = read_lines(predictions, COLUMNS)
    names = [line["sys_name"] for line in lines]
    before = np.array([line.number_in("prediction_eV") for line in lines])
    after = correction(before, np.array([known.get(name, np.nan) for name in names]))
    rows = [
        (name, round(float(value), 6), line["std_eV"])
        for name, value, line in zip(names, after, lines, strict=True)
    ]
    write_csv(out, COLUMNS, rows)


if __name__ == "__main__":
    main()
