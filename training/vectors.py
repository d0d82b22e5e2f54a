"""What a trunk that never learns says of every atom: computed once instead of in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor, nn

from linegraph import CrystalGraph
from linegraph.devices import usable_device
from linegraph.models import BandModel

from .fit import Machine
from .graphs import GraphSet
from .predict import passes
from .recipe import Recipe
from .shards import Records, Views


class _WithVectors(Records):
    """Graphs of paths with the vectors of their atoms."""

    def __init__(self, graphs: Sequence[Views], vectors: list[Tensor]) -> None:
        self.graphs = graphs
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.graphs)

    def read(self, position: int) -> Views:
        # Graphs in memory are those of others, too.
        path: CrystalGraph = copy(self.graphs[position]["path"])
        path["vectors"] = self.vectors[position]
        return {"path": path}


def never_learns(recipe: Recipe) -> bool:
    """Whether a recipe keeps the whole trunk as it is to the end."""
    return "trunk" in recipe.freeze and recipe.unfreeze_at is None


def with_vectors(graphs: GraphSet, model: nn.Module, recipe: Recipe, machine: Machine) -> GraphSet:
    """Graphs with what the model's trunk says of their atoms, if the trunk never learns.

    Args:
        graphs: of all records, by the model's views.
        model: with the weights that training starts from.
        recipe: of the training.
        machine: where to compute.

    Returns:
        Of a :class:`linegraph.models.BandModel` whose trunk is frozen for good the view ``path``
        alone, with ``vectors [N, H]``; otherwise the graphs as they are.
    """
    if not isinstance(model, BandModel) or not never_learns(recipe):
        return graphs
    where = torch.device(usable_device(machine.device))
    model.to(where).eval()
    count = len(graphs.graphs)
    found: dict[int, Tensor] = {}
    with torch.inference_mode():
        for positions, batch in passes(graphs, range(count), where):
            rows = model.vectors(batch).cpu()
            sizes = batch["path"].ptr.diff().tolist()
            found.update(zip(positions, torch.split(rows, sizes), strict=True))
    model.cpu()
    # Cloned outside of inference mode, where autograd may use them.
    vectors = [found[position].clone() for position in range(count)]
    return GraphSet(("path",), _WithVectors(graphs.graphs, vectors), [0] * count)
