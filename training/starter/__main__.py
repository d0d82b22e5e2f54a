"""``python -m training.starter FOLDER``: the crystals of the starter set as CIF files."""

from __future__ import annotations

from pathlib import Path

import click

from linegraph.errors import InputError
from training.console import CONTEXT

from .crystals import write_crystals


@click.command(context_settings=CONTEXT)
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the crystals of the starter set to FOLDER, a CIF file for each compound."""
    try:
        written = write_crystals(folder)
    except InputError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        raise click.exceptions.Exit(2) from None
    click.echo(f"{len(written)} crystals written to {folder}")


if __name__ == "__main__":
    main(prog_name="python -m training.starter")
