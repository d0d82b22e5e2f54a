"""The command ``pretrain`` as a function: many properties of crystals, one trunk."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import linegraph
from linegraph import InputError
from linegraph.models import Model

from .fit import Machine, fit
from .predict import outputs
from .properties import Property, PropertySet, read_properties
from .property_report import write_property_results
from .property_task import PropertyTask
from .ranks import here, same
from .recipe import Recipe
from .runs import Source, start_run
from .splits import Split, random_split


def pretrain(
    out: str | PathLike[str],
    recipe: Recipe,
    data: str | PathLike[str],
    *,
    recipe_name: str = "",
    skip_bad: bool = False,
    resume: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train one model on every property of a data set and write a run folder.

    Judged by the values that the data hold out. Data without any are parted by the recipe's
    ``test``; a fraction ``val`` of the other crystals is for validation.

    Args:
        out: the run folder; must not exist, unless ``resume``.
        recipe: all settings; its model is MPT.
        data: a folder or file for :func:`training.properties.read_properties`.
        recipe_name: the recipe's name, for the record.
        skip_bad: leave out records that cannot be used.
        resume: go on with a run that was interrupted.
        machine: where to compute.

    Returns:
        The contents of ``metrics.json``; nothing in processes besides the first.

    Raises:
        InputError: unusable data or settings, or a run folder that exists.
    """
    machine = Machine.usable(machine)
    if recipe.model != "MPT":
        raise InputError(f"recipe {recipe_name!r} trains {recipe.model} on barriers: use train")
    found = read_properties(
        data, drop=recipe.drop, strict_split=recipe.strict_split, skip_bad=skip_bad
    )
    targets, held_out, split = _parted(found, recipe)
    source = Source(found.path, found.fingerprint, found.crystals, found.skipped)
    folder = Path(same(str(out)))
    graphs = start_run(
        folder,
        recipe,
        source,
        _model(recipe, found.properties),
        machine,
        recipe_name=recipe_name,
        resume=resume,
        same={"properties": [p.name for p in found.properties]},
    )
    trained_on = targets[split.train].isfinite()
    model = fit(
        folder,
        recipe,
        graphs,
        targets,
        split,
        machine,
        make=partial(_task, recipe, found.properties, trained_on),
        names=[crystal.name for crystal in found.crystals],
        title="Pre-training",
        resume=resume,
    )
    if not here().first:
        return {}
    parts = {"train": split.train, "val": split.val, "test": split.test}
    known = {name: held_out if name == "test" else targets for name in parts}
    predicted = {
        name: (positions, outputs(model, graphs, positions, machine.device), known[name][positions])
        for name, positions in parts.items()
        if positions
    }
    crystals = [crystal.name for crystal in found.crystals]
    return write_property_results(folder, found.properties, crystals, predicted, seed=recipe.seed)


def _model(recipe: Recipe, properties: list[Property]) -> Model:
    return linegraph.build_model(recipe.model, **recipe.model_config, properties=len(properties))


def _task(recipe: Recipe, properties: list[Property], known: Tensor, steps: int) -> PropertyTask:
    return PropertyTask(_model(recipe, properties), recipe, steps, properties, known)


def _parted(found: PropertySet, recipe: Recipe) -> tuple[Tensor, Tensor, Split]:
    """Values to train on and values held out, ``[crystals, properties]``, and who is where.

    A crystal may be on both sides, with different properties.
    """
    targets, held_out = found.targets(held_out=False), found.targets(held_out=True)
    test = 0.0 if bool(held_out.isfinite().any()) else recipe.test
    pool = torch.nonzero(targets.isfinite().any(1)).flatten().tolist()
    try:
        drawn = random_split(len(pool), recipe.seed, recipe.val, test)
    except InputError as error:
        raise error.at(file=found.path) from None
    if test:
        held_out[[pool[i] for i in drawn.test]] = targets[[pool[i] for i in drawn.test]]
    judged = torch.nonzero(held_out.isfinite().any(1)).flatten().tolist()
    split = Split([pool[i] for i in drawn.train], [pool[i] for i in drawn.val], judged)
    learned = targets[split.train].isfinite().any(0)
    for p, there in zip(found.properties, learned.tolist(), strict=True):
        if not there:
            raise InputError("no value is left to train on", file=found.path, field=p.name)
    return targets, held_out, split
