"""Options that commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from .files import holds_nothing
from .held import held
from .ranks import here
from .stopping import exit_code, stopped

if TYPE_CHECKING:
    from .fit import Machine
    from .recipe import Recipe


class RunArguments(TypedDict):
    """Keywords that :func:`training.train.train` and :func:`training.pretrain.pretrain` share."""

    recipe_name: str
    skip_bad: bool
    resume: bool
    machine: Machine


@dataclass(frozen=True)
class RunOptions:
    """What every command that trains can be told, in the order of its help."""

    out: Path | None
    recipe: str | None
    settings: tuple[str, ...]
    epochs: int | None
    seed: int | None
    resume: bool
    skip_bad: bool
    device: str
    workers: int | None

    @contextmanager
    def started(
        self, default: str, **changes: object
    ) -> Iterator[tuple[Path, Recipe, RunArguments]]:
        """The run folder, all settings, and what else a training is given.

        Says how to go on if the block is interrupted.

        Args:
            default: the recipe, if none was named.
            changes: of the recipe, by options of the command's own; None where not given.
        """
        from .fit import Machine
        from .recipe import load_recipe
        from .settings import parse_settings

        name = self.recipe or default
        changes |= {"epochs": self.epochs, "seed": self.seed}
        given = {key: value for key, value in changes.items() if value is not None}
        recipe = load_recipe(name).changed({**parse_settings(self.settings), **given})
        arguments: RunArguments = {
            "recipe_name": name,
            "skip_bad": self.skip_bad,
            "resume": self.resume,
            "machine": Machine(self.device, self.workers),
        }
        with run_folder(self.out, self.resume, Path(name).stem) as folder:
            yield folder, recipe, arguments


@contextmanager
def run_folder(out: Path | None, resume: bool, name: str) -> Iterator[Path]:
    """The folder of a run that can be gone on with; says how, if the block is interrupted.

    No other run can use it meanwhile. With ``resume`` a folder that holds nothing will do, too: a
    run that was killed early may not have got any further.

    Args:
        out: as the user has it; by default ``runs/NAME``, or the first free name like it.
        resume: whether it is to be gone on with.
        name: of the folder, where none was named.
    """
    if resume and out is None:
        raise click.UsageError("--resume needs --out, the run to go on with")
    wanted = Path("runs") / name
    with ExitStack() as stack:
        if not here().first:
            # The first of several processes tells the others which folder it has.
            folder = out or wanted
        elif out is None:
            folder = free_folder(wanted)
        else:
            folder = stack.enter_context(held(out))
        if resume and holds_nothing(folder):
            click.echo(f"there is no run in {folder} yet: it begins", err=True)
        try:
            yield folder
        except (KeyboardInterrupt, Exception) as error:
            if not stopped(error):
                raise
            again = f"the same command with --resume --out {folder} goes on"
            click.echo(f"interrupted; {again}", err=True)
            raise click.exceptions.Exit(exit_code()) from None


def options(*names: str) -> Any:
    """Options that mean the same in every command.

    Args:
        names: of single options, or ``run`` for those of :class:`RunOptions`, which the command
            gets as one argument ``run``.
    """
    every = {
        "data": click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="Bands: a .json or .json.gz file in the published format, or a folder of "
            "CIF/POSCAR files with targets.csv.  [default: the embedded starter set]",
        ),
        "out": click.option("--out", type=click.Path(path_type=Path), help="Folder to write."),
        "recipe": click.option("--recipe", help="Recipe name (see `recipes`) or YAML file."),
        "settings": click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change a value of the recipe (any key of `recipes NAME`); repeatable.",
        ),
        "epochs": click.option("--epochs", type=int, help="Passes over the training records."),
        "seed": click.option("--seed", type=int, help="Seed of weights, splits and batches."),
        "resume": click.option(
            "--resume", is_flag=True, help="Go on with the interrupted run in --out."
        ),
        "skip_bad": click.option(
            "--skip-bad", is_flag=True, help="Leave out records that cannot be used, and list them."
        ),
        "device": click.option(
            "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N."
        ),
        "workers": click.option(
            "--workers",
            type=click.IntRange(0),
            help="Processes that build graphs and feed batches.  [default: chosen by size]",
        ),
        "ion": click.option(
            "--ion", metavar="ELEMENT", help="The ion that hops.  [default: the usual one in it]"
        ),
        "weights": click.option(
            "--weights",
            type=click.Path(path_type=Path),
            help="Run folder of a training, or a .safetensors file.  "
            "[default: the weights shipped]",
        ),
        "max_length": click.option(
            "--max-length",
            type=float,
            help="Longest hop, Å.  [default: 5, or just above the shortest]",
        ),
        "empty_sites": click.option(
            "--empty-site",
            "empty_sites",
            nargs=3,
            type=float,
            multiple=True,
            metavar="X Y Z",
            help="A vacant site an ion may hop to, fractional; repeatable, one of each kind is "
            "enough.",
        ),
        "find_empty_sites": click.option(
            "--find-empty-sites",
            is_flag=True,
            help="Look for vacant sites.",
        ),
        "min_width": click.option(
            "--min-width", type=float, default=8.0, help="Least distance of periodic images, Å."
        ),
        "idpp": click.option(
            "--idpp", is_flag=True, help="Bend paths around atoms (needs ase) instead of straight."
        ),
        "level": click.option(
            "--level",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.9,
            help="How often the intervals are to hold the barrier.",
        ),
        "threshold": click.option(
            "--threshold",
            type=click.FloatRange(0, min_open=True),
            default=0.65,
            help="The probability of a barrier below this is given, eV.",
        ),
        "neb": click.option(
            "--neb",
            type=click.Path(path_type=Path),
            help="Barriers of a potential for these bands: the folder of a run of `neb`, or a CSV "
            "file with sys_name and a column of barriers.",
        ),
        "neb_column": click.option(
            "--neb-column",
            metavar="NAME",
            help="The column of --neb with the barriers, eV.  [default: barrier_eV]",
        ),
        "debug": click.option("--debug", is_flag=True, help="Show tracebacks."),
    }
    of_run = [field.name for field in fields(RunOptions)]
    single = [one for name in names for one in (of_run if name == "run" else [name])]

    def add(command: Any) -> Any:
        if "run" in names:
            command = _with_run(command)
        for name in reversed((*single, "debug")):
            command = every[name](command)
        return command

    return add


def _with_run(command: Any) -> Any:
    @wraps(command)
    def gathered(**values: Any) -> Any:
        run = RunOptions(**{field.name: values.pop(field.name) for field in fields(RunOptions)})
        return command(run=run, **values)

    return gathered


def free_folder(wanted: Path) -> Path:
    """The folder itself or, if it is taken, the first free of wanted-2, wanted-3, ...

    It is made, and is this command's alone until that ends; if nothing is in it then, it is gone.

    Raises:
        InputError: it cannot be created.
    """
    command = click.get_current_context()
    folder, number = wanted, 1
    while True:
        with suppress(FileExistsError):
            return command.with_resource(held(folder, new=True))
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
