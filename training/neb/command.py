"""The command ``neb``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.options import options, run_folder

if TYPE_CHECKING:
    from .relax import Result


@click.command()
@options("data", "out", "resume", "skip_bad", "device")
@click.option(
    "--calculator",
    default="chgnet",
    metavar="NAME",
    help="chgnet, mace (with --weights), or the import path of an ASE calculator, package:Class.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Weights of mace, or of chgnet in place of its own. Such a file runs code of whoever "
    "made it.",
)
@click.option(
    "--calculator-option",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Argument of the calculator; repeatable.",
)
@click.option("--record", "records", multiple=True, metavar="NAME", help="Only this; repeatable.")
@click.option("--max-atoms", type=click.IntRange(1), help="Leave out larger records.")
@click.option(
    "--relax/--no-relax", default=True, help="Relax both ends first, or take them as they are."
)
@click.option("--climb", is_flag=True, help="Have the highest image climb.")
@click.option(
    "--images", type=click.IntRange(3), default=5, help="Images, both ends counted; 5 as given."
)
@click.option("--fmax", type=float, default=0.05, help="Largest force at the end, eV/Å.")
@click.option("--steps", type=click.IntRange(0), default=1000, help="At most, each end and band.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Records at a time.")
def neb(
    data: Path | None,
    out: Path | None,
    resume: bool,
    skip_bad: bool,
    device: str,
    calculator: str,
    weights: Path | None,
    settings: tuple[str, ...],
    records: tuple[str, ...],
    max_atoms: int | None,
    relax: bool,
    climb: bool,
    images: int,
    fmax: float,
    steps: int,
    workers: int,
    debug: bool,
) -> None:
    """Calculate barriers of bands by nudged elastic bands with a machine-learned potential.

    Nothing is trained. Every record that is done is kept; an interrupted run goes on with
    --resume. Writes barriers.csv, failures.csv, predictions.csv, metrics.json and parity.png.
    """
    from training.console import show_metrics, show_skipped
    from training.settings import parse_settings

    from .run import neb as run

    with run_folder(out, resume, "neb") as folder:
        found = run(
            folder,
            data=data,
            calculator=calculator,
            weights=weights,
            options=parse_settings(settings, "--calculator-option"),
            records=records,
            max_atoms=max_atoms,
            relax=relax,
            climb=climb,
            images=images,
            fmax=fmax,
            steps=steps,
            workers=workers,
            device=device,
            skip_bad=skip_bad,
            resume=resume,
            debug=debug,
        )
    _show(found.results)
    if found.metrics:
        show_metrics(found.metrics)
    show_skipped(folder)
    click.echo(f"run folder   {folder}")
    if found.results and all(result.error is not None for result in found.results):
        raise click.ClickException("no record has a barrier")


def _show(results: Sequence[Result]) -> None:
    """A table of barriers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("record", "barrier (eV)", "backward (eV)", "converged", "evaluations", "CPU (s)")
    for found in results:
        counts = str(found.evaluations), f"{found.cpu_s:.0f}"
        if found.error is not None:
            table.add_row(Text(found.name), "failed", "", Text(found.error), *counts)
            continue
        barriers = f"{found.forward:.3f}", f"{found.backward:.3f}"
        table.add_row(Text(found.name), *barriers, "yes" if found.converged else "no", *counts)
    Console().print(table)
