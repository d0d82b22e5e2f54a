"""The commands ``train`` and ``evaluate`` as functions."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import linegraph
from linegraph import InputError
from linegraph.weights import load_weights

from .bands import Band
from .data import folds_of, labelled, load_bands, split_of
from .files import new_run_folder
from .fit import Machine, fit
from .folders import read_structure
from .graphs import GraphSet, build_graphs, load_graphs
from .predict import predict
from .read import BandSet, read_bands
from .recipe import Recipe
from .records import ENDINGS
from .report import check_same_run, trivial_for, write_config, write_results, write_skipped
from .splits import Split


def train(
    out: str | PathLike[str],
    recipe: Recipe,
    *,
    recipe_name: str = "",
    data: str | PathLike[str] | None = None,
    folds: int = 0,
    skip_bad: bool = False,
    resume: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train on a data set and write a run folder.

    With ``folds`` the records are cross-validated: parted into that many folds, grouped by
    system, each predicted by a model trained on the others; the run folder then holds one folder
    per fold, and its own metrics are those of all held-out predictions together.

    Args:
        out: the run folder; must not exist, unless ``resume``.
        recipe: all settings.
        recipe_name: the recipe's name, for the record.
        data: a file or folder of bands; the embedded starter set if None.
        folds: number of folds; 0 for a single run with the recipe's split.
        skip_bad: leave out records that cannot be used.
        resume: go on with a run that was interrupted.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``.

    Raises:
        InputError: unusable data or settings, or a run folder that exists.
    """
    machine = machine or Machine()
    machine.trainer_arguments()
    bands = labelled(load_bands(data, skip_bad=skip_bad))
    splits = folds_of(bands, recipe, folds) if folds else [split_of(bands, recipe)]
    folder = Path(out)
    if not resume:
        new_run_folder(folder)
    else:
        check_same_run(folder, recipe, bands, folds)
    model = linegraph.build_model(recipe.model, hidden=1, alignn_layers=0, conv_layers=0)
    graphs = _graphs(bands, model.views, recipe.graph_settings, machine)
    write_config(folder, recipe_name, recipe, bands, folds=folds)
    write_skipped(folder, bands)
    if not folds:
        return _one(folder, recipe, bands.bands, graphs, splits[0], machine, resume)
    return _cross_validate(folder, recipe, bands.bands, graphs, splits, machine, resume)


def _graphs(
    bands: BandSet, views: tuple[str, ...], settings: dict[str, Any], machine: Machine
) -> GraphSet:
    try:
        return load_graphs(
            bands.bands,
            bands.fingerprint,
            views,
            settings,
            workers=machine.workers,
            progress=machine.progress,
        )
    except InputError as error:
        raise error.at(file=bands.path) from None


def _one(
    folder: Path,
    recipe: Recipe,
    bands: Sequence[Band],
    graphs: GraphSet,
    split: Split,
    machine: Machine,
    resume: bool,
) -> dict[str, Any]:
    targets = [band.target for band in bands]
    model = fit(folder, recipe, graphs, targets, split, machine, resume=resume)
    parts = {"train": split.train, "val": split.val, "test": split.test}
    parts = {name: positions for name, positions in parts.items() if positions}
    predicted = {
        name: (positions, predict(model, graphs, positions, machine.device))
        for name, positions in parts.items()
    }
    judged = list(parts.values())[-1]
    trivial = trivial_for(bands, split.train, judged)
    return write_results(folder, recipe.model, bands, predicted, trivial, seed=recipe.seed)


def _cross_validate(
    folder: Path,
    recipe: Recipe,
    bands: Sequence[Band],
    graphs: GraphSet,
    splits: Sequence[Split],
    machine: Machine,
    resume: bool,
) -> dict[str, Any]:
    targets = [band.target for band in bands]
    positions: list[int] = []
    values: list[float] = []
    trivial: dict[str, list[np.ndarray[Any, Any]]] = {}
    for number, split in enumerate(splits, start=1):
        here = folder / f"fold-{number}"
        here.mkdir(exist_ok=True)
        title = f"Fold {number} of {len(splits)}"
        model = fit(here, recipe, graphs, targets, split, machine, title=title, resume=resume)
        predicted = predict(model, graphs, split.test, machine.device)
        guesses = trivial_for(bands, split.train + split.val, split.test)
        write_results(
            here, recipe.model, bands, {"test": (split.test, predicted)}, guesses, seed=recipe.seed
        )
        positions += split.test
        values += predicted
        for name, guess in guesses.items():
            trivial.setdefault(name, []).append(guess)
    return write_results(
        folder,
        f"{recipe.model}, {len(splits)} folds grouped by system",
        bands,
        {"test": (positions, values)},
        {name: np.concatenate(guesses) for name, guesses in trivial.items()},
        seed=recipe.seed,
    )


def evaluate(
    weights: str | PathLike[str],
    data: str | PathLike[str] | None,
    out: str | PathLike[str],
    *,
    skip_bad: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Predict a data set with trained weights; write predictions and metrics.

    Args:
        weights: a run folder or a safetensors file.
        data: a file or folder of bands; the starter set if None.
        out: folder for ``predictions.csv``, ``metrics.json`` and ``parity.png``.
        skip_bad: leave out records that cannot be used.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``: nothing if no record has a target.

    Raises:
        InputError: unusable weights or data, or an output folder that exists.
    """
    machine = machine or Machine()
    machine.trainer_arguments()
    loaded = load_weights(weights)
    bands = load_bands(data, skip_bad=skip_bad)
    folder = new_run_folder(out)
    graphs = _graphs(bands, loaded.model.views, loaded.graph_settings, machine)
    predicted = predict(loaded.model, graphs, device=machine.device)
    write_skipped(folder, bands)
    everything = {"all": (range(len(predicted)), predicted)}
    return write_results(folder, f"{loaded.name} on {bands.path.name}", bands.bands, everything)


def predict_files(
    files: Sequence[Path], weights: str | PathLike[str], device: str = "auto"
) -> list[tuple[str, float]]:
    """Names and barriers (eV) of bands: names of records, and paths of structure files.

    Args:
        files: structure files of one band each, or data sets.
        weights: a run folder or a safetensors file.
        device: where to compute.

    Raises:
        InputError: unusable weights, files or structures.
    """
    Machine(device).trainer_arguments()
    loaded = load_weights(weights)
    bands: list[Band] = []
    for file in files:
        if file.is_dir() or file.name.lower().endswith(ENDINGS):
            bands += read_bands(file).bands
        else:
            bands.append(Band(str(file), read_structure(file)))
    views = loaded.model.views
    graphs = build_graphs(bands, views, loaded.graph_settings)
    names = [band.name for band in bands]
    return list(zip(names, predict(loaded.model, graphs, device=device), strict=True))
