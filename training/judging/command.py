"""The command ``report``."""

from __future__ import annotations

from pathlib import Path

import click

from training.options import free_folder, options


@click.command()
@click.argument("runs", nargs=-1, metavar="[NAME=]RUN...")
@options("out")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The bands that are predicted, as for `train`: for ion, size and hop length of each, its "
    "distance from the training records, and trivial predictors.",
)
@click.option(
    "--untrained",
    multiple=True,
    metavar="[NAME=]RUN",
    help="A method that learned from no barrier, as `neb`; repeatable.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="The model that others are compared with.  [default: the best of each protocol]",
)
@click.option(
    "--threshold", type=float, default=0.65, help="Barriers below are those of good conductors, eV."
)
@click.option(
    "--resamples", type=click.IntRange(2), default=1000, help="Of compounds, for standard errors."
)
def report(
    runs: tuple[str, ...],
    out: Path | None,
    data: Path | None,
    untrained: tuple[str, ...],
    reference: str | None,
    threshold: float,
    resamples: int,
    debug: bool,
) -> None:
    """Judge models side by side: one page, with the figures and tables behind it.

    RUN is a run folder of `train`, `baseline` or `neb`, or a CSV file with a column sys_name and
    one column NAME_eV a model. NAME is what the page calls it.
    """
    from .report import report as write

    if not runs and not untrained:
        raise click.UsageError("nothing to judge: name at least one run")
    folder = out or free_folder(Path("runs") / "report")
    page = write(
        folder,
        [_named(run) for run in runs],
        untrained=[_named(run) for run in untrained],
        data=None if data is None else str(data),
        reference=reference or "",
        threshold=threshold,
        resamples=resamples,
    )
    click.echo(f"report       {page}")


def _named(text: str) -> tuple[str, Path]:
    """``NAME=RUN`` as label and path; a path that exists is taken as it is."""
    label, equals, path = text.partition("=")
    if equals and not path:
        raise click.UsageError(f"{text!r} names no run")
    return (label, Path(path)) if equals and not Path(text).exists() else ("", Path(text))
