"""The commands ``train`` and ``evaluate`` as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import linegraph
from linegraph import InputError
from linegraph.models import Model
from linegraph.weights import Weights, load_weights

from .bands import Band
from .batches import as_tensor
from .data import folds_of, labelled, load_bands, one_path_each, split_of
from .files import new_run_folder
from .fit import Machine, barrier_task, fit
from .folders import read_structure
from .graphs import GraphSet, build_graphs
from .predict import predict
from .read import BandSet, read_bands
from .recipe import Recipe
from .records import ENDINGS
from .report import trivial_for, write_results
from .runs import Source, graphs_of, start_run, write_skipped
from .splits import Split
from .transfer import Start, read_start


def train(
    out: str | PathLike[str],
    recipe: Recipe,
    *,
    recipe_name: str = "",
    data: str | PathLike[str] | None = None,
    init: str | PathLike[str] | None = None,
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
        init: weights to start from, a run folder or a safetensors file: of a pre-training, or of
            another barrier model. None for a start from scratch.
        folds: number of folds; 0 for a single run with the recipe's split.
        skip_bad: leave out records that cannot be used.
        resume: go on with a run that was interrupted.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``.

    Raises:
        InputError: unusable data, settings or weights, or a run folder that exists.
    """
    machine = Machine.usable(machine)
    if recipe.model == "MPT":
        raise InputError(f"recipe {recipe_name!r} pre-trains on properties: use pretrain")
    start = read_start(init, recipe)
    bands = labelled(load_bands(data, skip_bad=skip_bad))
    if recipe.one_path:
        bands = one_path_each(bands)
    splits = folds_of(bands, recipe, folds) if folds else [split_of(bands, recipe)]
    model = linegraph.build_model(recipe.model, **recipe.model_config)
    folder = Path(out)
    graphs = start_run(
        folder,
        recipe,
        _source(bands),
        model,
        machine,
        recipe_name=recipe_name,
        resume=resume,
        same={"folds": folds, "init": None if start is None else start.fingerprint},
        notes={"init_path": None if start is None else str(start.path)},
    )
    job = _Job(recipe, bands.bands, graphs, start, machine, resume)
    return job.cross_validate(folder, splits) if folds else job.once(folder, splits[0])


def _source(bands: BandSet) -> Source:
    return Source(bands.path, bands.fingerprint, bands.bands, bands.skipped)


@dataclass(frozen=True, eq=False)
class _Job:
    """What all folds of a run share."""

    recipe: Recipe
    bands: Sequence[Band]
    graphs: GraphSet
    start: Start | None
    machine: Machine
    resume: bool

    def fit(self, folder: Path, split: Split, title: str = "Training") -> Model:
        targets = as_tensor([band.target for band in self.bands])
        return fit(
            folder,
            self.recipe,
            self.graphs,
            targets,
            split,
            self.machine,
            make=partial(barrier_task, self.recipe, targets[split.train], self.start),
            title=title,
            resume=self.resume,
        )

    def once(self, folder: Path, split: Split) -> dict[str, Any]:
        model = self.fit(folder, split)
        parts = {"train": split.train, "val": split.val, "test": split.test}
        parts = {name: positions for name, positions in parts.items() if positions}
        predicted = {
            name: (positions, predict(model, self.graphs, positions, self.machine.device))
            for name, positions in parts.items()
        }
        judged = list(parts.values())[-1]
        trivial = trivial_for(self.bands, split.train, judged)
        name, seed = self.recipe.model, self.recipe.seed
        return write_results(folder, name, self.bands, predicted, trivial, seed=seed)

    def cross_validate(self, folder: Path, splits: Sequence[Split]) -> dict[str, Any]:
        name, seed = self.recipe.model, self.recipe.seed
        positions: list[int] = []
        values: list[float] = []
        trivial: dict[str, list[np.ndarray[Any, Any]]] = {}
        for number, split in enumerate(splits, start=1):
            here = folder / f"fold-{number}"
            here.mkdir(exist_ok=True)
            model = self.fit(here, split, f"Fold {number} of {len(splits)}")
            found = predict(model, self.graphs, split.test, self.machine.device)
            guesses = trivial_for(self.bands, split.train + split.val, split.test)
            parts = {"test": (split.test, found)}
            write_results(here, name, self.bands, parts, guesses, seed=seed)
            positions += split.test
            values += found
            for guess, said in guesses.items():
                trivial.setdefault(guess, []).append(said)
        return write_results(
            folder,
            f"{name}, {len(splits)} folds grouped by system",
            self.bands,
            {"test": (positions, values)},
            {guess: np.concatenate(said) for guess, said in trivial.items()},
            seed=seed,
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
    machine = Machine.usable(machine)
    loaded = _barrier_weights(weights)
    bands = load_bands(data, skip_bad=skip_bad)
    folder = new_run_folder(out)
    graphs = graphs_of(_source(bands), loaded.model.views, loaded.graph_settings, machine)
    predicted = predict(loaded.model, graphs, device=machine.device)
    write_skipped(folder, bands.skipped)
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
    Machine.usable(Machine(device))
    loaded = _barrier_weights(weights)
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


def _barrier_weights(path: str | PathLike[str]) -> Weights:
    loaded = load_weights(path)
    if loaded.outputs or loaded.name == "MPT":
        raise InputError(
            f"holds {loaded.name}, which predicts properties of crystals and no barriers: train "
            "--init makes a barrier model of it",
            file=path,
        )
    return loaded
