"""The command ``benchmark``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from training.options import options


@click.command()
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for a .md and .json of each.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to work.")
@click.option("--quick", is_flag=True, help="The smallest sizes only, in seconds.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Bands to measure on, as of `train`.  [default: the published ones if they are in "
    "../shared, else the embedded starter set]",
)
@click.option("--hidden", type=click.IntRange(1), help="Width of the models.")
@click.option("--threads", type=click.IntRange(1), help="Threads.  [default: one per core]")
@click.option(
    "--keep-memory", is_flag=True, help="Keep freed memory, as the other commands do; all sides."
)
@options()
def benchmark(
    workloads: tuple[str, ...],
    out: Path | None,
    device: str,
    quick: bool,
    data: Path | None,
    hidden: int | None,
    threads: int | None,
    keep_memory: bool,
    debug: bool,
) -> None:
    """Measure linegraph beside the programs it is compared with.

    Without WORKLOAD: list the workloads, their sides, and what to install for those that are not
    here. Sides that compute other numbers than ours end the run with exit code 1, before timing.
    """
    if threads is not None:
        # The neighbour search and PyTorch read this when they are loaded.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    from linegraph.memory import keep_freed_memory
    from training.files import write_json, write_text
    from training.fit import Machine

    from .compare import DifferenceError, Options, unavailable
    from .job import run
    from .registry import MODULES, load_workload
    from .tables import listing

    if threads is not None:
        torch.set_num_threads(threads)
    kept = keep_memory and keep_freed_memory()
    chosen = Options(data, device, quick, hidden)
    found = [load_workload(name) for name in workloads or MODULES]
    if not workloads:
        click.echo(listing([(workload, unavailable(workload, chosen)) for workload in found]))
        return
    Machine(device).trainer_arguments()  # refuses a device that is not here
    for workload in found:
        if device not in workload.devices:
            raise click.UsageError(f"{workload.name} runs on {' or '.join(workload.devices)} only")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    for workload in found:
        try:
            text, numbers = run(workload, chosen, partial(click.echo, err=True), keeps_memory=kept)
        except DifferenceError as error:
            raise click.ClickException(str(error)) from None
        click.echo(text)
        if out is not None:
            write_text(out / f"{workload.name}.md", text)
            write_json(out / f"{workload.name}.json", numbers)
