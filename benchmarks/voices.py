"""What each part of BAND-1 says by itself: ``python -m benchmarks.voices RUN --data BANDS``."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import click
import numpy as np
import torch

from linegraph import InputError
from linegraph.models import BandModel
from linegraph.weights import load_weights
from training.fit import Machine
from training.judging.predictions import Predictions
from training.judging.scores import paired_difference, scores
from training.predict import passes
from training.read import BandSet, read_bands
from training.runs import graphs_of, source_of

from .report import markdown_table
from .runs import RESAMPLES, held_out, shown

#: Shares of trees and machine in what is said; the rest is the network's.
VOICES = {"trees": (1.0, 0.0), "machine": (0.0, 1.0), "network": (0.0, 0.0), "all": None}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="What it learned.")
@click.option("--against", type=click.Path(path_type=Path), help="Another run, to compare with.")
def main(run: Path, data: Path, against: Path | None) -> None:
    """Judge trees, machine and network of a cross-validated RUN of BAND-1 on what it held out.

    Standard errors by resampling compounds.
    """
    try:
        table = held_out(run)
        said = spoken(table, read_bands(data))
        other = None if against is None else held_out(against)
        rows = [row_of(voice, found, other) for voice, found in said.items()]
    except InputError as error:
        raise click.ClickException(str(error)) from None
    heading = ["", "MAE (eV)", "R2", "Spearman"]
    click.echo(markdown_table(heading + ([] if other is None else [f"minus {other.name}"]), rows))


def row_of(voice: str, said: Predictions, other: Predictions | None) -> list[str]:
    """Of the table."""
    found = scores(said, resamples=RESAMPLES)
    row = [voice, *(shown(found[key]) for key in ("mae", "r2", "spearman"))]
    if other is None:
        return row
    pair = paired_difference(said, other, RESAMPLES)
    return [*row, f"{pair.mae:+.3f} ({pair.low:+.3f} to {pair.high:+.3f})"]


def spoken(table: Predictions, bands: BandSet) -> dict[str, Predictions]:
    """The held-out predictions of a run by each voice alone.

    Raises:
        InputError: weights that are not there, or of another model; a record that is not in the
            data.
    """
    place = {band.name: i for i, band in enumerate(bands.bands)}
    if missing := [name for name in table.names if name not in place]:
        raise InputError("is not in the data", file=bands.path, record=repr(missing[0]))
    values = {voice: np.full(len(table), np.nan) for voice in VOICES}
    keys = list(zip(table.seed, table.fold, strict=True))
    several = len(set(table.seed)) > 1
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for (seed, fold), members in groupby(order, keys.__getitem__):
        rows = list(members)
        folder = table.path / (f"seed-{seed}" if several else "") / f"fold-{fold}"
        weights = load_weights(folder)
        model = weights.model
        if not isinstance(model, BandModel):
            raise InputError(f"holds {weights.name}, which has no voices", file=folder)
        chosen = [bands.bands[place[table.names[row]]] for row in rows]
        some = BandSet(chosen, [], bands.path, bands.fingerprint)
        settings = weights.graph_settings
        graphs = graphs_of(source_of(some), model.views, settings, Machine(progress=False))
        shares = model.tree_share, model.machine_share
        for part, views in passes(graphs, range(len(rows)), torch.device("cpu")):
            for voice, own in VOICES.items():
                model.tree_share, model.machine_share = own or shares
                with torch.inference_mode():
                    out = model(views).tolist()
                values[voice][[rows[i] for i in part]] = out
    return {voice: replace(table, name=voice, prediction=value) for voice, value in values.items()}


if __name__ == "__main__":
    main()
