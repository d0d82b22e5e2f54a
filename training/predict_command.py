"""The command ``predict``."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import options

if TYPE_CHECKING:
    from linegraph.errors import InputError

    from .structures import Kind


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as",
    "kind",
    type=click.Choice(["band", "crystal"]),
    help="What structure files hold.  [default: a band if the first five atoms lie on a path]",
)
@click.option("--json", type=click.Path(path_type=Path), help="Write everything to this file.")
@click.option("--csv", type=click.Path(path_type=Path), help="Write a row for each hop.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    help="Write a page with all hops in 3D, what percolates, and the numbers (needs plotly).",
)
@options(
    "ion", "weights", "max_length", "empty_sites", "find_empty_sites", "min_width", "idpp",
    "level", "threshold", "device", "neb", "neb_column",
)  # fmt: skip
def predict(
    files: tuple[Path, ...],
    weights: Path | None,
    kind: Kind | None,
    level: float,
    threshold: float,
    json: Path | None,
    csv: Path | None,
    html: Path | None,
    neb: Path | None,
    neb_column: str | None,
    debug: bool,
    **how: Any,
) -> None:
    """Predict barriers (eV): of all distinct hops of an ion in a crystal, or of ready bands.

    FILES are crystals (CIF, POSCAR, ...), whose hops are found as `hops` does, bands (structure
    files whose atoms 0 to 4 are the five images of the ion), or data sets of bands as for --data.
    With --neb, barriers are moved towards those of a potential.
    """
    from linegraph.errors import InputError
    from linegraph.prediction import usable_weights

    from .files import check_outputs
    from .neb.table import given_table
    from .potentials import no_barrier
    from .predict_files import BandFile, CrystalFile, barriers_in, predict_files
    from .predict_output import Output
    from .predict_written import write_predictions
    from .viewer.scene import check_plotly

    check_outputs(json, csv, html, inputs=[*files, neb, weights])
    if html is not None:
        check_plotly()
    table = given_table(neb, neb_column)
    ensemble = usable_weights(weights)
    how["empty_sites"] = how["empty_sites"] or None
    output = Output(ensemble, level, threshold)
    found = []
    settings = {"kind": kind, "level": level, "threshold": threshold, "neb": table, **how}
    try:
        for one in predict_files(files, ensemble, **settings):
            found.append(one)
            if isinstance(one, CrystalFile):
                output.crystal(one)
            elif isinstance(one, InputError):
                _tell(one, debug)
        bands = [one for one in found if isinstance(one, BandFile)]
        if bands:
            output.bands(bands)
        barriers = [barrier for one in found for barrier in barriers_in(one)]
        if barriers and table is not None:
            output.beside(barriers, table)
        failed = sum(isinstance(one, InputError) for one in found)
        if failed < len(found):
            output.uncalibrated()
    finally:
        # Also after an interruption, and where nobody reads the tables to their end.
        write_predictions(found, ensemble, level, threshold, json=json, csv=csv, html=html)
    for path in (json, csv, html):
        if path is not None:
            click.echo(f"written to   {path}")
    if barriers and table is not None and all(one.potential is None for one in barriers):
        raise no_barrier(table, len(barriers))
    if failed:
        raise click.exceptions.Exit(2)


def _tell(error: InputError, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    click.secho(f"error: {error}", fg="red", err=True)
