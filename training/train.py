"""The commands ``train`` and ``evaluate`` as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

import linegraph
from linegraph import InputError
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble
from linegraph.models import BandModel, Model
from linegraph.prediction import named

from .batches import as_tensor
from .copies import features_of_copies
from .data import labelled, load_bands, one_path_each
from .ensembles import ensemble_of_run, makes_an_ensemble
from .files import new_run_folder, write_json
from .fit import Machine, barrier_task, fit
from .graphs import GraphSet
from .grown import grow_parts
from .judge import Answer, judge
from .neb.table import NebTable, given_table
from .potentials import barriers_beside, check_enough
from .predict import predict
from .protocols import Part, Protocol, parts_of
from .ranks import here, same
from .read import BandSet
from .recipe import Recipe
from .report import Row, write_rows
from .runs import graphs_of, source_of, start_run, write_skipped
from .task import Task
from .transfer import Start, read_start

#: How often a normal distribution is within one standard deviation.
ONE_SIGMA = 0.6827


def train(
    out: str | PathLike[str],
    recipe: Recipe,
    *,
    recipe_name: str = "",
    data: str | PathLike[str] | None = None,
    init: str | PathLike[str] | None = None,
    protocol: Protocol | None = None,
    neb: str | PathLike[str] | None = None,
    neb_column: str | None = None,
    skip_bad: bool = False,
    resume: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train on a data set and write a run folder.

    A protocol of several parts (folds by system, classes or ions left out in turn, repeats) trains
    one model a part: the run folder then holds one folder for each, and its own metrics are those
    of all held-out predictions together. Of folds with one seed, the models together make the
    run's ``model.safetensors`` (:mod:`training.ensembles`).

    Args:
        out: the run folder; must not exist, unless ``resume``.
        recipe: all settings.
        recipe_name: the recipe's name, for the record.
        data: a file or folder of bands; the embedded starter set if None.
        init: weights to start from, a run folder or a safetensors file: of a pre-training, or of
            another barrier model. None for a start from scratch.
        protocol: how to judge; by default a single run with the recipe's split.
        neb: barriers of a potential (:func:`training.neb.table.read_neb`). The predictor that is
            made of the run learns what they are worth beside its models; these learn nothing of
            them.
        neb_column: of that table.
        skip_bad: leave out records that cannot be used.
        resume: go on with a run that was interrupted.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``; nothing in processes besides the first.

    Raises:
        InputError: unusable data, settings or weights, a run folder that exists, or barriers of a
            potential where no predictor is made, or of too few records.
    """
    machine = Machine.usable(machine)
    if recipe.model == "MPT":
        raise InputError(f"recipe {recipe_name!r} pre-trains on properties: use pretrain")
    start = read_start(init, recipe)
    bands = labelled(load_bands(data, skip_bad=skip_bad))
    if recipe.one_path:
        bands = one_path_each(bands)
    protocol = replace(protocol or Protocol(), split=recipe.split)
    parts = parts_of(bands, protocol, seed=recipe.seed, val=recipe.val, test=recipe.test)
    names = [band.name for band in bands.bands]
    table = _neb_table(neb, neb_column, bands, protocol)
    model = linegraph.build_model(recipe.model, **recipe.model_config)
    folder = Path(same(str(out)))
    graphs = start_run(
        folder,
        recipe,
        source_of(bands),
        model,
        machine,
        recipe_name=recipe_name,
        resume=resume,
        same={
            "protocol": protocol.as_dict(),
            "init": None if start is None else start.fingerprint,
            "neb": None if table is None else table.as_dict(names),
        },
        notes={
            "init_path": None if start is None else str(start.path),
            "neb_path": None if table is None else str(table.path),
        },
    )
    targets = as_tensor([band.target for band in bands.bands])
    job = _Job(recipe, protocol, bands, targets, graphs, start, machine, resume)
    if not here().first:
        for part in parts:
            job.fitted(folder / part.folder, part)
        return {}
    several = f", {protocol.name}" if len(parts) > 1 else ""
    metrics = judge(folder, f"{recipe.model}{several}", bands, parts, job.answer)
    if makes_an_ensemble(protocol):
        file = ensemble_of_run(
            folder, bands, neb=table, device=machine.device, progress=machine.progress
        )
        if potential := load_ensemble(file).potential:
            metrics["potential"] = potential.figures()
            write_json(folder / "metrics.json", metrics)
    return metrics


def _neb_table(
    neb: str | PathLike[str] | None, column: str | None, bands: BandSet, protocol: Protocol
) -> NebTable | None:
    """Barriers of a potential from which a run can learn."""
    table = given_table(neb, column)
    if table is None:
        return None
    if not makes_an_ensemble(protocol):
        raise InputError(
            f"{protocol.name}: what a potential's barriers are worth is learned from records that "
            "are held out once each (--folds without --repeats or --train-fraction)",
            field="neb",
        )
    check_enough(table, bands.bands)
    return table


@dataclass(frozen=True, eq=False)
class _Job:
    """What all parts of a run share."""

    recipe: Recipe
    protocol: Protocol
    bands: BandSet
    targets: Tensor
    graphs: GraphSet
    start: Start | None
    machine: Machine
    resume: bool

    @cached_property
    def copies(self) -> Tensor:
        """Features of displaced copies of all records, once some part needs them."""
        return features_of_copies(self.bands.bands, self.recipe.copies, self.machine.workers)

    def answer(self, folder: Path, part: Part) -> dict[str, Answer]:
        """Train on a part, and predict what it holds out; of a single split everything."""
        model, split = self.fitted(folder, part), part.split
        asked = {"test": split.test}
        if not part.label:
            asked = {"train": split.train, "val": split.val, "test": split.test}
        return {
            name: Answer(predict(model, self.graphs, positions, self.machine.device))
            for name, positions in asked.items()
            if positions
        }

    def fitted(self, folder: Path, part: Part) -> Model:
        """Train on a part."""
        recipe = self.recipe.changed({"seed": part.seed})
        positions = part.split.train

        def make(steps: int) -> Task:
            task = barrier_task(recipe, self.targets[positions], self.start, steps)
            if isinstance(task.model, BandModel):
                grow_parts(
                    task.model, self.graphs, self.targets, positions, recipe.seed, self.copies
                )
            return task

        return fit(
            folder,
            recipe,
            self.graphs,
            self.targets,
            part.split,
            self.machine,
            make=make,
            names=[band.name for band in self.bands.bands],
            title=self.title(part),
            resume=self.resume,
        )

    def title(self, part: Part) -> str:
        """What the progress bar says."""
        if self.protocol.folds:
            title = f"Fold {part.label} of {self.protocol.folds}"
        else:
            title = f"Without {part.label}" if part.label else "Training"
        return f"{title}, seed {part.seed}" if self.protocol.repeats > 1 else title


def evaluate(
    weights: str | PathLike[str],
    data: str | PathLike[str] | None,
    out: str | PathLike[str],
    *,
    neb: str | PathLike[str] | None = None,
    neb_column: str | None = None,
    skip_bad: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Predict a data set with trained weights; write predictions and metrics.

    The models of a cross-validated run say their mean. Half the width of the interval that is to
    hold 68 % of the barriers stands in the column of standard deviations.

    Args:
        weights: a run folder or a safetensors file.
        data: a file or folder of bands; the starter set if None.
        out: folder for ``predictions.csv``, ``metrics.json`` and ``parity.png``.
        neb: barriers of a potential to predict beside (:func:`training.neb.table.read_neb`); of
            weights that have learned what these are worth.
        neb_column: of that table.
        skip_bad: leave out records that cannot be used.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``: nothing if no record has a target.

    Raises:
        InputError: unusable weights or data, an output folder that exists, or barriers of a
            potential that are of no use here.
    """
    machine = Machine.usable(machine)
    ensemble = load_ensemble(weights)
    bands = load_bands(data, skip_bad=skip_bad)
    beside = None
    if (table := given_table(neb, neb_column)) is not None:
        beside = barriers_beside(table, ensemble, bands)
    folder = new_run_folder(out)
    if ensemble.calibrated or len(ensemble.members) > 1:
        rows = _of_all_members(ensemble, bands, machine, beside)
    else:
        graphs = graphs_of(source_of(bands), ensemble.views, ensemble.graph_settings, machine)
        values = predict(ensemble.members[0], graphs, device=machine.device)
        rows = [Row(band, "all", value) for band, value in zip(bands.bands, values, strict=True)]
    write_skipped(folder, bands.skipped)
    return write_rows(folder, f"{ensemble.name} on {bands.path.name}", rows)


def _of_all_members(
    ensemble: Ensemble,
    bands: BandSet,
    machine: Machine,
    beside: Sequence[float | None] | None,
) -> list[Row]:
    """What several models say together, and half the width of their intervals if they have any."""
    cells = [band.cell for band in bands.bands]
    try:
        said = ensemble.predict(cells, level=ONE_SIGMA, device=machine.device, potential=beside)
    except InputError as error:
        raise named(error, [band.name for band in bands.bands]).at(file=bands.path) from None
    rows = []
    for band, barrier in zip(bands.bands, said, strict=True):
        low, high = barrier.low, barrier.high
        half = None if low is None or high is None else (high - low) / 2
        rows.append(Row(band, "all", barrier.value, half))
    return rows
