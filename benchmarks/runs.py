"""Cross-validated runs against each other: ``python -m benchmarks.runs RUN RUN``."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import click
import numpy as np

from linegraph import InputError
from training.judging.predictions import Predictions, read_run
from training.judging.scores import Score, paired_difference, scores

from .report import markdown_table

RESAMPLES = 2000


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--without", multiple=True, metavar="NAME", help="Leave out a record; repeatable.")
def main(runs: tuple[Path, ...], without: tuple[str, ...]) -> None:
    """Compare the held-out predictions of RUNS, the first ones of a table against the later ones.

    Standard errors by resampling compounds, not records: paths in one compound are alike.
    """
    try:
        read = without_records([held_out(path) for path in runs], without)
        found = [scores(run, resamples=RESAMPLES) for run in read]
        pairs = [
            (f"{second.name} - {first.name}", paired_difference(second, first, RESAMPLES))
            for first, second in combinations(read, 2)
        ]
    except InputError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{len(set(read[0].names))} records of {len(set(read[0].system))} compounds\n")
    rows = [
        [run.name, shown(figures["mae"]), shown(figures["r2"]), shown(figures["spearman"])]
        for run, figures in zip(read, found, strict=True)
    ]
    click.echo(markdown_table(["run", "MAE (eV)", "R2", "Spearman"], rows))
    if pairs:
        cells = [
            [name, f"{pair.mae:+.3f} ± {pair.error:.3f}", f"{pair.low:+.3f} to {pair.high:+.3f}"]
            for name, pair in pairs
        ]
        click.echo("\n" + markdown_table(["paired", "MAE (eV)", "95 %"], cells))


def held_out(path: Path) -> Predictions:
    """The test rows of a run folder that have a target.

    Raises:
        InputError: there are none.
    """
    run = read_run(path)
    held = run.of("test").labelled()
    if not len(held):
        table = path / "predictions.csv"
        raise InputError("no record with a target is held out", file=table, field="split")
    return held


def without_records(runs: list[Predictions], without: tuple[str, ...] = ()) -> list[Predictions]:
    """The runs, which must predict the same records, without some of these.

    Raises:
        InputError: the runs predict other records, or other targets for them; or a record to
            leave out is not there.
    """
    first = runs[0]
    known = dict(zip(first.names, first.target.tolist(), strict=True))
    for run in runs[1:]:
        if dict(zip(run.names, run.target.tolist(), strict=True)) != known:
            raise InputError(f"{run.name} and {first.name} do not predict the same records")
    for name in without:
        if name not in known:
            raise InputError("no run predicts it", record=name)
    return [run.rows(~np.isin(run.names, without)) for run in runs]


def shown(score: Score) -> str:
    """A figure with its standard error, as far as they are defined."""
    if score.value is None:
        return "-"
    return f"{score.value:.3f}" + ("" if score.error is None else f" ± {score.error:.3f}")


if __name__ == "__main__":
    main()
