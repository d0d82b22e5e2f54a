"""How long a barrier takes from a structure: ``python -m benchmarks.prediction BANDS``."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter, process_time

import click
import numpy as np
import torch

from linegraph import InputError
from linegraph.ensemble_file import load_ensemble
from training.data import load_bands

from .report import markdown_table


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="Default: those that are shipped.")
@click.option("--threads", default=1, show_default=True, help="Of torch.")
def main(data: Path | None, weights: Path | None, threads: int) -> None:
    """Predict the bands of DATA (default: the starter set) one by one, intervals and all."""
    torch.set_num_threads(threads)
    try:
        ensemble, bands = load_ensemble(weights), load_bands(data).bands
        # What is made once in a process is no part of a prediction.
        ensemble.predict([bands[0].cell])
        taken = []
        for band in bands:
            cpu, clock = process_time(), perf_counter()
            ensemble.predict([band.cell])
            taken.append((process_time() - cpu, perf_counter() - clock))
    except InputError as error:
        raise click.ClickException(str(error)) from None
    sizes = [len(band.cell) for band in bands]
    click.echo(f"{ensemble.name}, {len(bands)} bands of {min(sizes)} to {max(sizes)} atoms\n")
    rows = [
        [name, *(f"{np.percentile(column, q):.3f}" for q in (50, 95, 100))]
        for name, column in zip(("CPU", "clock"), zip(*taken, strict=True), strict=True)
    ]
    click.echo(markdown_table(["s", "median", "95 %", "longest"], rows))


if __name__ == "__main__":
    main()
