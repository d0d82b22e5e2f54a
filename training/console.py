"""What all commands share: exit codes, tables."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .stopping import exit_code, stoppable, stopped

if TYPE_CHECKING:
    from .hops_command import FoundHops

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}


class Commands(click.Group):
    """Turns what goes wrong into one line and an exit code.

    2 for input, 1 for our own faults, 130 after Ctrl+C, 143 after SIGTERM.
    """

    def invoke(self, ctx: click.Context) -> Any:
        from linegraph.errors import InputError

        from .ranks import joined

        # Asked for here, where the command's own parsing has not consumed the words yet.
        debug = "--debug" in ctx.args
        try:
            with stoppable(), joined():
                return super().invoke(ctx)
        except InputError as error:
            if debug:
                traceback.print_exc()
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (KeyboardInterrupt, Exception) as error:
            if debug:
                traceback.print_exc()
            if stopped(error):
                click.echo("interrupted", err=True)
                ctx.exit(exit_code())
            click.secho(
                f"internal error: {type(error).__name__}: {error} (--debug shows where)",
                fg="red",
                err=True,
            )
            ctx.exit(1)


def show_metrics(metrics: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "records", "MAE (eV)", "RMSE (eV)", "R2")
    trivial, potential = metrics.get("trivial", {}), metrics.get("potential")
    rows = [(name, row) for name, row in metrics.items() if name not in ("trivial", "potential")]
    rows += [(f"guess: {name}", row) for name, row in trivial.items()]
    for name, row in rows:
        r2 = "-" if row["r2"] is None else f"{row['r2']:.3f}"
        r2_se = "" if row["r2_se"] is None else f" ± {row['r2_se']:.3f}"
        mae = f"{row['mae']:.3f} ± {row['mae_se']:.3f}"
        table.add_row(name, str(row["n"]), mae, f"{row['rmse']:.3f}", r2 + r2_se)
    Console().print(table)
    if potential is not None:
        click.echo(
            f"beside NEB   MAE {potential['mae_with']:.3f} instead of {potential['mae']:.3f} eV "
            f"on {potential['n']} held-out records, moved towards barriers of "
            f"{potential['source']}"
        )


def show_hops(found: FoundHops) -> None:
    """A table of hops, after the empty sites that were found."""
    from rich.console import Console
    from rich.table import Table

    from linegraph.empty_sites import empty_sites_in_words

    if found.empty_sites is not None:
        for line in empty_sites_in_words(found.empty_sites):
            click.echo(line)
    table = Table("band", "hop", "length (Å)", "per cell", "nearest atom on the way (Å)")
    for row in found.hops:
        hop = row.hop
        length, approach = f"{hop.length:.3f}", f"{row.approach:.2f}"
        table.add_row(row.band.name, hop.label, length, str(hop.multiplicity), approach)
    Console().print(table)


def show_properties(metrics: dict[str, Any]) -> None:
    """A table of the last split of a pre-training, property by property."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    split, found = list(metrics.items())[-1]
    table = Table(split, "values", "MAE", "in units", "guess: mean", "R2")
    for name, row in found["properties"].items():
        r2 = "-" if row["r2"] is None else f"{row['r2']:.3f}"
        units = f"{row['mae_units']:.3g} {row['unit']}" if "mae_units" in row else "-"
        mae = f"{row['mae']:.4f} ± {row['mae_se']:.4f}"
        # Names and units are whatever the data say: literally, not as markup.
        cells = (Text(name), str(row["n"]), mae, Text(units), f"{row['mae_of_mean']:.4f}", r2)
        table.add_row(*cells)
    table.add_row("mean", str(found["n"]), f"{found['mean_mae']:.4f}", "", "", "")
    Console().print(table)


def show_property_set(data: Path, skip_bad: bool) -> None:
    """Counts of crystals with properties."""
    from training.properties import read_properties

    found = read_properties(data, skip_bad=skip_bad)
    several = sum(len(crystal.values) > 1 for crystal in found.crystals)
    sizes = sorted(len(crystal.cell) for crystal in found.crystals)
    click.echo(f"{found.path}")
    click.echo(f"crystals     {len(sizes)}, {several} with several properties")
    click.echo(f"atoms        {sizes[0]} to {sizes[-1]}, median {sizes[len(sizes) // 2]}")
    click.echo("property     train    test  train with --strict-split")
    fewer = found.strict().counts()
    for name, (train, test) in found.counts().items():
        click.echo(f"{name:<10}{train:>8}{test:>8}{fewer.get(name, (0, 0))[0]:>8}")
    click.echo(
        f"{found.mixed()} structures are held out for one property and trained on for another"
    )
    for error in found.skipped:
        click.echo(f"skipped      {error}", err=True)


def show_run(folder: Path) -> None:
    """Where a run is, and what it left out."""
    show_skipped(folder)
    click.echo(f"run folder   {folder}\nparity plot  {folder / 'parity.png'}")


def show_skipped(folder: Path) -> None:
    """What was left out, as ``skipped.csv`` says it."""
    from .runs import read_skipped

    for error in (skipped := read_skipped(folder)):
        click.echo(f"left out     {error}", err=True)
    if skipped:
        click.echo(f"left out     {len(skipped)} records, listed in {folder / 'skipped.csv'}")
