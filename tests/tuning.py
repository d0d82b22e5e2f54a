"""Fine-tuning of tiny models on made-up bands, from weights that nobody trained."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

import linegraph
from linegraph.models import Model
from linegraph.weights import load_weights, save_weights
from tests.bands import TINY, some_bands
from training.batches import as_tensor
from training.fit import Machine, barrier_task, fit
from training.graphs import GraphSet, build_graphs
from training.recipe import Recipe
from training.splits import Split
from training.transfer import read_start

QUIET = Machine("cpu", workers=0, progress=False)
RECIPE = Recipe(summary="").changed({**TINY, "model": "MODEL-3", "keep": "last"})
SPLIT = Split(train=[0, 1, 2, 3, 4, 5, 6, 7], val=[8, 9], test=[10, 11])
TARGETS = as_tensor([band.target for band in some_bands()])

#: Steps too small to be seen.
STILL = {"lr": 1e-12, "weight_decay": 0.0}

#: The parts of the trunk.
TRUNK = ("embeddings", "alignn_layers", "conv_layers")


def weights(
    path: Path,
    name: str = "MPT",
    config: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    seed: int = 5,
) -> Path:
    """A file of weights, and of running statistics other than those they start with.

    Args:
        path: the file.
        name: of the model.
        config: sizes other than those of :data:`RECIPE`.
        settings: of graphs, other than those of :data:`RECIPE`.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    config = {**RECIPE.model_config, **(config or {})}
    model = linegraph.build_model(name, **config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean = torch.rand_like(cast(Tensor, module.running_mean)) - 0.5
            module.running_var = torch.rand_like(cast(Tensor, module.running_var)) + 0.5
            cast(Tensor, module.num_batches_tracked).fill_(7)
    save_weights(path, model, name, config, {**RECIPE.graph_settings, **(settings or {})})
    return path


@cache
def graphs_of(views: tuple[str, ...]) -> GraphSet:
    """Of all bands."""
    return build_graphs(some_bands(), views, RECIPE.graph_settings)


def tune(folder: Path, recipe: Recipe, init: Path | None, *, resume: bool = False) -> Model:
    """Train on :data:`SPLIT`, as the command does, without predictions and plots."""
    folder.mkdir(exist_ok=True)
    start = read_start(init, recipe)
    views = linegraph.build_model(recipe.model, **recipe.model_config).views
    make = partial(barrier_task, recipe, TARGETS[SPLIT.train], start)
    graphs = graphs_of(views)
    return fit(folder, recipe, graphs, TARGETS, SPLIT, QUIET, make=make, resume=resume)


def state_of(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a run folder or file."""
    return load_weights(path).model.state_dict()


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Names of the tensors that are not equal to the bit."""
    assert set(one) == set(other)
    return {name for name, tensor in one.items() if not torch.equal(tensor, other[name])}
