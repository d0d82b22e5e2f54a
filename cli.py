"""The command line of linegraph: ``python cli.py COMMAND`` or ``linegraph COMMAND``."""

from __future__ import annotations

import csv
import os
import traceback
from pathlib import Path
from typing import Any

# Large tensors on huge pages: page faults are most of the cost of a fresh one on a CPU. PyTorch
# reads this when it is loaded.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}


#: Exit code of a program that was stopped from outside, as shells have it.
INTERRUPTED = 130


class Commands(click.Group):
    """Turns what goes wrong into one line and an exit code: 2 for input, 1 for our own faults."""

    def invoke(self, ctx: click.Context) -> Any:
        from linegraph.errors import InputError

        # Asked for here, where the command's own parsing has not consumed the words yet.
        debug = "--debug" in ctx.args
        try:
            return super().invoke(ctx)
        except InputError as error:
            if debug:
                traceback.print_exc()
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if debug:
                traceback.print_exc()
            click.secho(
                f"internal error: {type(error).__name__}: {error} (--debug shows where)",
                fg="red",
                err=True,
            )
            ctx.exit(1)


def options(*names: str) -> Any:
    """Options that mean the same in every command."""
    every = {
        "data": click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="Bands: a .json or .json.gz file in the published format, or a folder of "
            "CIF/POSCAR files with targets.csv.  [default: the embedded starter set]",
        ),
        "out": click.option("--out", type=click.Path(path_type=Path), help="Folder to write."),
        "weights": click.option(
            "--weights",
            type=click.Path(path_type=Path),
            required=True,
            help="Run folder of a training, or a .safetensors file.",
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
        "debug": click.option("--debug", is_flag=True, help="Show tracebacks."),
    }

    def add(command: Any) -> Any:
        for name in reversed((*names, "debug")):
            command = every[name](command)
        return command

    return add


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="linegraph")
def main() -> None:
    """Ion migration barriers (eV) from crystal structures, by ALIGNN graph networks."""


@main.command()
@options("data", "out", "skip_bad", "device", "workers")
@click.option(
    "--recipe",
    help="Recipe name (see `recipes`) or YAML file.  [default: starter without --data, else small]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe (any key of `recipes NAME`); repeatable.",
)
@click.option("--epochs", type=int, help="Passes over the training records.")
@click.option("--seed", type=int, help="Seed of weights, splits and batches.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Cross-validate with so many folds, grouped by system, instead of a single run.",
)
@click.option("--resume", is_flag=True, help="Go on with the interrupted run in --out.")
def train(
    data: Path | None,
    out: Path | None,
    recipe: str | None,
    settings: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    folds: int | None,
    resume: bool,
    skip_bad: bool,
    device: str,
    workers: int | None,
    debug: bool,
) -> None:
    """Train a model on bands with known barriers.

    Without arguments: a demonstration on the embedded starter set.

    Writes a run folder: config.yaml, metrics.json, history.csv, predictions.csv, parity.png,
    checkpoints/ and model.safetensors.
    """
    from training.fit import Machine
    from training.recipe import load_recipe, parse_settings
    from training.train import train

    name = recipe or ("starter" if data is None else "small")
    changes = parse_settings(settings)
    changes |= {k: v for k, v in (("epochs", epochs), ("seed", seed)) if v is not None}
    if resume and out is None:
        raise click.UsageError("--resume needs --out, the run to go on with")
    out = out or _free_folder(Path("runs") / Path(name).stem)
    try:
        metrics = train(
            out,
            load_recipe(name).changed(changes),
            recipe_name=name,
            data=data,
            folds=folds or 0,
            skip_bad=skip_bad,
            resume=resume,
            machine=Machine(device, workers),
        )
    except KeyboardInterrupt:
        if not (out / "config.yaml").is_file():
            raise
        click.echo(f"interrupted; the same command with --resume --out {out} goes on", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    _show_metrics(metrics)
    _show_skipped(out)
    click.echo(f"run folder   {out}\nparity plot  {out / 'parity.png'}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@options("data", "out", "skip_bad", "device", "workers")
def evaluate(
    run: Path,
    data: Path | None,
    out: Path | None,
    skip_bad: bool,
    device: str,
    workers: int | None,
    debug: bool,
) -> None:
    """Judge the model of RUN (a run folder or .safetensors file) on a data set.

    Writes predictions.csv, metrics.json (standard errors by 1,000 bootstrap resamples) and a
    parity plot with marginal histograms.
    """
    from training.fit import Machine
    from training.train import evaluate

    stem = data.name.split(".")[0] if data else "starter"
    base = run if run.is_dir() else Path("runs")
    out = out or _free_folder(base / f"evaluate-{stem}")
    metrics = evaluate(run, data, out, skip_bad=skip_bad, machine=Machine(device, workers))
    if metrics:
        _show_metrics(metrics)
        click.echo(f"parity plot  {out / 'parity.png'}")
    else:
        click.echo("no record has a target: predictions only")
    _show_skipped(out)
    click.echo(f"predictions  {out / 'predictions.csv'}")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@options("weights", "device")
def predict(files: tuple[Path, ...], weights: Path, device: str, debug: bool) -> None:
    """Print the barrier (eV) of bands.

    FILES are structure files of one band each (CIF, POSCAR, ...; atoms 0 to 4 are the five images
    of the migrating ion) or data sets as for --data.
    """
    from training.train import predict_files

    rows = predict_files(files, weights, device)
    width = max(len(name) for name, _ in rows)
    for name, barrier in rows:
        click.echo(f"{name:<{width}}  {barrier:.3f} eV")


@main.command(name="data")
@options("data", "skip_bad")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Also write the data set in the published format (.json or .json.gz).",
)
def data_(data: Path | None, out: Path | None, skip_bad: bool, debug: bool) -> None:
    """Read and check a data set, and say what is in it."""
    from training.data import load_bands, summarise
    from training.records import write_bands

    bands = load_bands(data, skip_bad=skip_bad)
    found = summarise(bands)
    fewest, typical, most = found.atoms
    click.echo(f"{bands.path}")
    click.echo(f"records      {found.records}, {found.with_target} with a barrier")
    click.echo(f"systems      {found.systems}")
    click.echo(f"atoms        {fewest} to {most}, median {typical:g}")
    if found.barrier:
        low, middle, high = found.barrier
        click.echo(f"barrier      {low:.3g} to {high:.3g} eV, median {middle:.3g}")
    click.echo("ions         " + ", ".join(f"{k} {v}" for k, v in found.ions.items()))
    click.echo("classes      " + ", ".join(f"{k} {v}" for k, v in found.families.items()))
    for error in bands.skipped:
        click.echo(f"skipped      {error}", err=True)
    if out is not None:
        write_bands(out, bands.bands)
        click.echo(f"written to   {out}")


@main.command()
@click.argument("name", required=False)
@options()
def recipes(name: str | None, debug: bool) -> None:
    """List the recipes, or show all settings of one."""
    import yaml

    from training.recipe import load_recipe, recipe_names

    if name is not None:
        click.echo(yaml.safe_dump(load_recipe(name).as_dict(), sort_keys=False), nl=False)
        return
    for known in recipe_names():
        click.echo(f"{known:<16}{load_recipe(known).summary}")


def _free_folder(wanted: Path) -> Path:
    """The folder itself or, if it is taken, the first free of wanted-2, wanted-3, ..."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def _show_metrics(metrics: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "records", "MAE (eV)", "RMSE (eV)", "R2")
    trivial = metrics.get("trivial", {})
    rows = [(name, row) for name, row in metrics.items() if name != "trivial"]
    rows += [(f"guess: {name}", row) for name, row in trivial.items()]
    for name, row in rows:
        r2 = "-" if row["r2"] is None else f"{row['r2']:.3f}"
        r2_se = "" if row["r2_se"] is None else f" ± {row['r2_se']:.3f}"
        mae = f"{row['mae']:.3f} ± {row['mae_se']:.3f}"
        table.add_row(name, str(row["n"]), mae, f"{row['rmse']:.3f}", r2 + r2_se)
    Console().print(table)


def _show_skipped(run: Path) -> None:
    skipped = run / "skipped.csv"
    if skipped.is_file():
        with skipped.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            place = ", field ".join(word for word in (row["record"], row["field"]) if word)
            click.echo(f"left out     record {place}: {row['problem']}", err=True)
        click.echo(f"left out     {len(rows)} records, listed in {skipped}")


if __name__ == "__main__":
    main()
