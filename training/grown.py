"""The parts of BAND-1 that are not trained by gradients: trees, kernel machine, scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from linegraph.models import BandModel
from linegraph.reversal import reversed_features

from .forest import grow
from .graphs import GraphSet
from .kernel_machine import fit_machine
from .roots import signed_root

#: Added to the widths of vectors: a channel that is the same everywhere says nothing.
LEAST_WIDTH = 1e-3


def grow_parts(
    model: BandModel, graphs: GraphSet, targets: Tensor, positions: Sequence[int], seed: int
) -> None:
    """Make a model ready for training: what else there is in it has learned, once and for all.

    Args:
        model: its forest and kernel machine are replaced, and ``mean`` and ``width`` are set.
        graphs: of all records, with the view ``path``; the scales are those of its ``vectors``,
            and stay as they are where there are none.
        targets: of all records, eV.
        positions: of the training records.
        seed: of all random choices.
    """
    paths = [graphs.graphs[position]["path"] for position in positions]
    features = torch.cat([path["features"] for path in paths])
    # Most barriers are those of symmetric hops: either way is a record to learn from.
    both = torch.cat([features, reversed_features(features)]).numpy()
    roots = signed_root(targets[list(positions)].double().repeat(2).numpy())
    forest, machine = model.forest, model.machine
    grown = grow(both, roots, forest.trees, forest.leaves, seed, least=2)
    forest.load_state_dict(grown.state_dict())
    fitted = fit_machine(both, roots, machine.supports, seed)
    machine.load_state_dict(fitted.state_dict())
    if "vectors" in paths[0]:
        vectors = torch.cat([path["vectors"] for path in paths])
        model.mean.copy_(vectors.mean(0))
        model.width.copy_(vectors.std(0, correction=0) + LEAST_WIDTH)
