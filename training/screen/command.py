"""The command ``screen``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.options import options, run_folder

if TYPE_CHECKING:
    from rich.console import Console

    from .ranking import Level, Row
    from .run import Screened

#: Rows of the ranking that are shown.
_SHOWN = 10

_WIDE = 1000


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--ion",
    metavar="ELEMENTS",
    help="The ion that hops; of several (Li,Na) the first that is in the crystal.  "
    "[default: the usual one in it]",
)
@click.option(
    "--max-length",
    type=click.FloatRange(0, 20, min_open=True),
    help="Longest hop, Å.  [default: 5, or just above the shortest]",
)
@click.option(
    "--min-width",
    type=click.FloatRange(0, 20, min_open=True),
    default=8.0,
    help="Least distance of periodic images, Å.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Processes at a time.  [default: one for each core]"
)
@options(
    "weights", "find_empty_sites", "idpp", "level", "threshold", "out", "resume", "device",
)  # fmt: skip
def screen(folder: Path, out: Path | None, resume: bool, debug: bool, **how: Any) -> None:
    """Predict barriers of all crystals in FOLDER, and rank them by where the ion gets through.

    Every structure that is done is kept; an interrupted screening goes on with --resume. Writes
    ranking.csv, failures.csv, config.yaml and structures/, a JSON file for each.
    """
    from .run import screen as run

    with run_folder(out, resume, "screen") as target:
        found = run(target, folder, resume=resume, debug=debug, **how)
    _show(found, how["level"], how["idpp"])
    click.echo(f"run folder   {target}")
    if not found.ranking:
        raise click.ClickException(f"no structure could be used; {target / 'failures.csv'} has why")


def _show(found: Screened, level: float, idpp: bool) -> None:
    """The top of the ranking, and counts."""
    from rich.console import Console
    from rich.text import Text

    from training.predict_output import advice

    # Lines of a terminal have an end, those of a pipe or a file have none.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)

    def say(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    shown = found.ranking[:_SHOWN]
    if shown:
        _table(console, shown, level)
    if any(row.outside for row in shown):
        say("* has hops that are unlike the training records")
    if any(row.blocked for row in shown):
        say(f"! has hops that pass an atom too near, where no ion fits ({advice(idpp)})")
    if found.ranking and found.ranking[0].level is None:
        say("no intervals: the weights hold no held-out predictions (train --folds does)")
    never = sum(row.levels[0].barrier is None for row in found.ranking)
    words = [f"{len(found.ranking)} crystals ranked"]
    words += [f"{never} of them never percolate with these hops"] if never else []
    words += [f"{len(found.failures)} failed (failures.csv)"] if found.failures else []
    say(", ".join(words))
    rates = [
        f"{stage} {len(found.ranking) / seconds:.3g}"
        for stage, seconds in found.seconds.items()
        if seconds > 0
    ]
    if rates:
        say(f"structures per second and worker: {', '.join(rates)}")


def _table(console: Console, rows: list[Row], level: float) -> None:
    from rich.table import Table
    from rich.text import Text

    calibrated = rows[0].level is not None
    columns = ["1D (eV)", "direction", "2D (eV)", "3D (eV)"]
    if calibrated:
        columns[1:1] = [f"{100 * level:.3g} % interval", f"P(< {rows[0].threshold:g} eV)"]
    table = Table()
    # Names are what the rest is about: folded rather than cut where the line is short.
    for number, column in enumerate(("", "file", "formula", "hops", *columns, "")):
        table.add_column(column, overflow="fold", no_wrap=number != 1)
    for number, row in enumerate(rows, start=1):
        one, two, three = row.levels
        cells = [_energy(one), one.directions, _energy(two), _energy(three)]
        if calibrated:
            cells[1:1] = [_interval(one), "-" if row.below is None else f"{100 * row.below:.0f} %"]
        marks = ("*" if row.outside else "") + ("!" if row.blocked else "")
        table.add_row(
            *map(Text, (str(number), row.file, row.formula, str(row.hops), *cells, marks))
        )
    console.print(table)


def _energy(level: Level) -> str:
    return "never" if level.barrier is None else f"{level.barrier:.3f}"


def _interval(level: Level) -> str:
    from linegraph.levels import rounded

    if level.low is None or level.high is None:
        return "-"
    return f"{rounded(level.low)} to {rounded(level.high)}"
