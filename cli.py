"""The command line of linegraph: ``python cli.py COMMAND`` or ``linegraph COMMAND``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

# Large tensors on huge pages: page faults are most of the cost of a fresh one on a CPU. PyTorch
# reads this when it is loaded.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import click

from benchmarks.command import benchmark
from linegraph.errors import InputError
from linegraph.memory import keep_freed_memory
from training.baselines.command import baseline
from training.console import (
    CONTEXT,
    Commands,
    show_hops,
    show_metrics,
    show_properties,
    show_property_set,
    show_run,
    show_skipped,
)
from training.judging.command import report
from training.neb.command import neb
from training.options import RunOptions, free_folder, options
from training.predict_command import predict
from training.protocol_options import protocol_options
from training.ranks import here
from training.screen.command import screen

if TYPE_CHECKING:
    from training.protocols import Protocol


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="linegraph")
@click.pass_context
def main(context: click.Context) -> None:
    """Ion migration barriers (eV) from crystal structures, by ALIGNN graph networks."""
    if here().count > 1 and context.invoked_subcommand not in ("train", "pretrain"):
        raise InputError(
            f"{context.invoked_subcommand} runs in one process: start it without torchrun, which "
            "is for train and pretrain"
        )
    # Benchmarks compare with programs that do not, so there it is an option.
    if context.invoked_subcommand != "benchmark":
        keep_freed_memory()


@main.command()
@options("data", "run", "neb", "neb_column")
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="Start from trained weights: the run folder or .safetensors file of a pretrain, of "
    "another train, or of convert.",
)
@protocol_options
def train(
    run: RunOptions,
    data: Path | None,
    init: Path | None,
    protocol: Protocol,
    neb: Path | None,
    neb_column: str | None,
    debug: bool,
) -> None:
    """Train a model on bands with known barriers.

    Without arguments: a demonstration on the embedded starter set. The recipe is `starter` without
    --data, else `small`, unless --recipe names another.

    Writes a run folder: config.yaml, metrics.json, history.csv, predictions.csv, parity.png,
    checkpoints/ and model.safetensors. With --folds, --neb has that predictor learn what barriers
    of a potential are worth beside it, for `predict --neb`.
    """
    from training.train import train

    with run.started("starter" if data is None else "small") as (folder, recipe, more):
        metrics = train(
            folder,
            recipe,
            data=data,
            init=init,
            protocol=protocol,
            neb=neb,
            neb_column=neb_column,
            **more,
        )
    if here().first:
        show_metrics(metrics)
        show_run(folder)


@main.command()
@options("run")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Crystals with properties: a folder of .json or .json.gz files, or one of them.",
)
@click.option("--drop", multiple=True, metavar="NAME", help="Leave out a property; repeatable.")
@click.option(
    "--strict-split",
    is_flag=True,
    help="Train on no value of a structure that is held out for any property.",
)
def pretrain(
    run: RunOptions, data: Path, drop: tuple[str, ...], strict_split: bool, debug: bool
) -> None:
    """Train one model on many properties of crystals, for `train --init` to start from.

    The recipe is `mpt-small`, unless --recipe names another. Writes a run folder as `train` does;
    predictions and errors are on the scale of -1 to 1, and where it is known in units too.
    """
    from training.pretrain import pretrain

    changes = {"drop": drop or None, "strict_split": strict_split or None}
    with run.started("mpt-small", **changes) as (folder, recipe, more):
        metrics = pretrain(folder, recipe, data, **more)
    if here().first:
        show_properties(metrics)
        show_run(folder)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@options("data", "out", "neb", "neb_column", "skip_bad", "device", "workers")
def evaluate(
    run: Path,
    data: Path | None,
    out: Path | None,
    neb: Path | None,
    neb_column: str | None,
    skip_bad: bool,
    device: str,
    workers: int | None,
    debug: bool,
) -> None:
    """Judge the model of RUN (a run folder or .safetensors file) on a data set.

    Writes predictions.csv, metrics.json (standard errors by 1,000 bootstrap resamples) and a
    parity plot with marginal histograms. Weights that have learned of a potential take --neb.
    """
    from training.fit import Machine
    from training.train import evaluate

    stem = data.name.split(".")[0] if data else "starter"
    base = run if run.is_dir() else Path("runs")
    out = out or free_folder(base / f"evaluate-{stem}")
    metrics = evaluate(
        run,
        data,
        out,
        neb=neb,
        neb_column=neb_column,
        skip_bad=skip_bad,
        machine=Machine(device, workers),
    )
    if metrics:
        show_metrics(metrics)
        click.echo(f"parity plot  {out / 'parity.png'}")
    else:
        click.echo("no record has a target: predictions only")
    show_skipped(out)
    click.echo(f"predictions  {out / 'predictions.csv'}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@options("ion", "max_length", "empty_sites", "find_empty_sites", "min_width", "idpp")
@click.option("--out", type=click.Path(path_type=Path), help="Write the bands (.json, .json.gz).")
def hops(
    file: Path,
    ion: str | None,
    max_length: float | None,
    empty_sites: tuple[tuple[float, float, float], ...],
    find_empty_sites: bool,
    min_width: float,
    idpp: bool,
    out: Path | None,
    debug: bool,
) -> None:
    """List the symmetry-distinct hops of an ion in a crystal, and write their bands for `predict`.

    FILE is a structure file (CIF, POSCAR, ...). An ion hops to the place of a missing one.
    """
    from training.hops_command import find_hops

    found = find_hops(
        file,
        out,
        ion=ion,
        max_length=max_length,
        empty_sites=empty_sites or None,
        find_empty_sites=find_empty_sites,
        min_width=min_width,
        idpp=idpp,
    )
    show_hops(found)
    if out is not None:
        click.echo(f"written to   {out}")


@main.command(name="data")
@options("data", "skip_bad")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Also write the data set in the published format (.json or .json.gz).",
)
def data_(data: Path | None, out: Path | None, skip_bad: bool, debug: bool) -> None:
    """Read and check a data set, of bands or of crystals with properties; say what is in it."""
    from training.data import load_bands, summarise
    from training.properties import is_property_set
    from training.records import write_bands

    if data is not None and is_property_set(data):
        if out is not None:
            raise click.UsageError("--out writes bands only, these are crystals with properties")
        show_property_set(data, skip_bad)
        return
    bands = load_bands(data, skip_bad=skip_bad)
    found = summarise(bands)
    fewest, typical, most = found.atoms
    click.echo(f"{bands.path}")
    ends = f", {found.ends_only} with their two ends only" if found.ends_only else ""
    click.echo(f"records      {found.records}, {found.with_target} with a barrier{ends}")
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
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME", help="Which model it is, where several have its tensors.")
@options()
def convert(reference: Path, weights: Path, model: str | None, debug: bool) -> None:
    """Turn REFERENCE, a published state dict (.pt), into WEIGHTS (.safetensors)."""
    from linegraph.published import convert_checkpoint

    found = convert_checkpoint(reference, weights, model)
    sizes = ", ".join(f"{key} {value}" for key, value in found.config.items())
    click.echo(f"{found.name} ({sizes})\nwritten to   {weights}")


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
    names = recipe_names()
    width = max(map(len, names))
    for known in names:
        click.echo(f"{known:<{width}}  {load_recipe(known).summary}")


for command in (predict, screen, baseline, neb, report, benchmark):
    main.add_command(command)

if __name__ == "__main__":
    main()
