"""Cross-validated runs against each other: ``python -m benchmarks.runs RUN RUN``."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from linegraph import InputError
from training.metrics import regression_metrics

from .report import markdown_table

RESAMPLES = 2000


class Run(NamedTuple):
    """The held-out predictions of a run.

    Attributes:
        name: of the run folder.
        system: compound of each record, by record name.
        target: E_m in eV, by record name.
        prediction: in eV, by record name.
    """

    name: str
    system: dict[str, str]
    target: dict[str, float]
    prediction: dict[str, float]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--without", multiple=True, metavar="NAME", help="Leave out a record; repeatable.")
def main(runs: tuple[Path, ...], without: tuple[str, ...]) -> None:
    """Compare the held-out predictions of RUNS, the first ones of a table against the later ones.

    Standard errors by resampling compounds, not records: paths in one compound are alike.
    """
    try:
        read = [read_run(path) for path in runs]
        names = common_records(read, without)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    target = np.array([read[0].target[name] for name in names])
    systems = [read[0].system[name] for name in names]
    errors = {r.name: np.abs([r.prediction[n] for n in names] - target) for r in read}
    rows = []
    for run in read:
        prediction = [run.prediction[name] for name in names]
        figures = regression_metrics(target, prediction)
        mae, mae_se = mean_and_error(errors[run.name], systems)
        rows.append([run.name, f"{mae:.3f} ± {mae_se:.3f}", f"{figures['r2']:.3f}"])
    click.echo(f"{len(names)} records of {len(set(systems))} compounds\n")
    click.echo(markdown_table(["run", "MAE (eV)", "R2"], rows))
    pairs = []
    for first, second in combinations(errors, 2):
        difference, spread = mean_and_error(errors[second] - errors[first], systems)
        pairs.append([f"{second} - {first}", f"{difference:+.3f} ± {spread:.3f}"])
    if pairs:
        click.echo("\n" + markdown_table(["paired", "MAE (eV)"], pairs))


def read_run(path: Path) -> Run:
    """The test rows of a run folder's ``predictions.csv``.

    Raises:
        InputError: no such table, or none of its rows is held out.
    """
    table = path / "predictions.csv"
    if not table.is_file():
        raise InputError("there are no predictions", file=table)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r.get("split") == "test" and r["target_eV"]]
    if not rows:
        raise InputError("no record with a target is held out", file=table, field="split")
    return Run(
        path.name,
        {r["sys_name"]: r["system"] for r in rows},
        {r["sys_name"]: float(r["target_eV"]) for r in rows},
        {r["sys_name"]: float(r["prediction_eV"]) for r in rows},
    )


def common_records(runs: list[Run], without: tuple[str, ...] = ()) -> list[str]:
    """Names of the records, which must be the same in all runs.

    Raises:
        InputError: the runs predict other records, or other targets for them; or a record to
            leave out is not there.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.target != first.target:
            raise InputError(f"{run.name} and {first.name} do not predict the same records")
    for name in without:
        if name not in first.target:
            raise InputError("no run predicts it", record=name)
    return [name for name in first.target if name not in without]


def mean_and_error(values: NDArray[np.float64], groups: list[str]) -> tuple[float, float]:
    """Mean of values, and its standard error by resampling groups with replacement."""
    order, member = np.unique(groups, return_inverse=True)
    total = np.bincount(member, weights=values)
    count = np.bincount(member)
    drawn = np.random.default_rng(0).integers(len(order), size=(RESAMPLES, len(order)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    return float(values.mean()), float(means.std(ddof=1))


if __name__ == "__main__":
    main()
