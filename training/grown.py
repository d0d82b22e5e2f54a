"""The parts of BAND-1 that are not trained by gradients: trees and kernel machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from linegraph.models import BandModel
from linegraph.reversal import reversed_features
from linegraph.roots import signed_root

from .forest import grow
from .graphs import GraphSet
from .kernel_machine import fit_machine

#: What a deviation costs the kernel machines, and the share of the features each of several sees.
PENALTY, SHARE = 60.0, 0.4


def grow_parts(
    model: BandModel, graphs: GraphSet, targets: Tensor, positions: Sequence[int], seed: int
) -> None:
    """Make a model ready for training: what else there is in it has learned, once and for all.

    Args:
        model: its forest and kernel machine are replaced.
        graphs: of all records, with the view ``path``.
        targets: of all records, eV.
        positions: of the training records.
        seed: of all random choices.
    """
    features = torch.cat([graphs.graphs[position]["path"]["features"] for position in positions])
    # Most barriers are those of symmetric hops: either way is a record to learn from.
    both = torch.cat([features, reversed_features(features)]).numpy()
    roots = signed_root(targets[list(positions)].double().repeat(2).numpy())
    forest, machine = model.forest, model.machine
    grown = grow(both, roots, forest.trees, forest.leaves, seed, least=2)
    forest.load_state_dict(grown.state_dict())
    fitted = fit_machine(
        both,
        roots,
        machine.supports,
        seed,
        penalty=PENALTY,
        machines=machine.machines,
        share=SHARE if machine.machines > 1 else 1.0,
    )
    machine.load_state_dict(fitted.state_dict())
