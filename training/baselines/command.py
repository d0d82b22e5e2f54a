"""The command ``baseline``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.options import options, run_folder
from training.protocol_options import protocol_options

if TYPE_CHECKING:
    from training.protocols import Protocol

#: As :data:`training.splits.SPLITS`, which needs NumPy: help is to come fast.
SPLITS = ("published", "random", "grouped")


@click.command()
@click.argument("name")
@options("data", "out", "seed", "resume", "skip_bad", "workers")
@protocol_options
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="grouped",
    help="Without --folds and --leave-out: how the one split is made.",
)
@click.option(
    "--selection",
    type=click.Choice(["fitted", "published"]),
    default="fitted",
    help="Features of rfr and gbr: selected within each training part, or the paper's 75.",
)
@click.option(
    "--predict",
    "unknown",
    type=click.Path(path_type=Path),
    help="Also fit on all records with a barrier, and predict these bands.",
)
@click.option("--one-path", is_flag=True, help="Use one record of each system.")
def baseline(
    name: str,
    data: Path | None,
    out: Path | None,
    seed: int | None,
    resume: bool,
    skip_bad: bool,
    workers: int | None,
    protocol: Protocol,
    split: str,
    selection: str,
    unknown: Path | None,
    one_path: bool,
    debug: bool,
) -> None:
    """Judge a classical model: what a graph network has to be better than.

    NAME is rfr or gbr (random forest and gradient boosting of the paper), path-trees (trees on
    features along the path and of the composition), or a guess: train-mean, class-mean,
    path-distance.

    Writes a run folder as `train` does, with features.csv (what was looked at) and failures.csv.
    """
    from training.console import show_metrics, show_run

    from .run import baseline as run

    with run_folder(out, resume, name) as folder:
        metrics = run(
            folder,
            name,
            data=data,
            protocol=replace(protocol, split=split),
            seed=123 if seed is None else seed,
            selection=selection,
            predict=unknown,
            one_path=one_path,
            skip_bad=skip_bad,
            resume=resume,
            workers=workers,
        )
    show_metrics(metrics)
    show_run(folder)
