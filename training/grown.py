"""The parts of BAND-1 that are not trained by gradients: trees and kernel machines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linegraph.models import BandModel
from linegraph.reversal import reversed_features
from linegraph.roots import signed_root

from .forest import grow
from .graphs import GraphSet
from .kernel_machine import fit_machine

#: What a deviation costs the kernel machines, and the share of the features each of several sees.
PENALTY, SHARE = 60.0, 0.4

#: What all displaced copies of a record weigh together; the record weighs 1.
WEIGHT = 0.3

#: By how much numbers are smeared out (standard deviation, mostly of Å) before ranks are read off.
SMEAR = 0.01

#: Copies that a machine learns from: it compares with every one of them when it predicts.
OF_MACHINE = 1


def grow_parts(
    model: BandModel,
    graphs: GraphSet,
    targets: Tensor,
    positions: Sequence[int],
    seed: int,
    copies: Tensor | None = None,
) -> None:
    """Make a model ready for training: what else there is in it has learned, once and for all.

    Args:
        model: its forest and kernel machine are replaced.
        graphs: of all records, with the view ``path``.
        targets: of all records, eV.
        positions: of the training records.
        seed: of all random choices.
        copies: features of displaced copies of all records ``[n, K, F]``
            (:func:`training.copies.features_of_copies`), to learn from besides; None for none.
    """
    of = list(positions)
    features = torch.cat([graphs.graphs[position]["path"]["features"] for position in of])
    if copies is None:
        copies = features.new_zeros(len(targets), 0, features.size(1))
    roots = signed_root(targets[of].double().numpy())
    every = [features, *copies[of].to(features).unbind(1)]
    forest, machine = model.forest, model.machine
    table = _Table(every, roots)
    grown = grow(
        table.features, table.targets, forest.trees, forest.leaves, seed, least=2,
        weights=table.weights,
    )  # fmt: skip
    forest.load_state_dict(grown.state_dict())
    few = _Table(every[: 1 + OF_MACHINE], roots)
    fitted = fit_machine(
        few.features,
        few.targets,
        machine.supports,
        seed,
        penalty=PENALTY,
        machines=machine.machines,
        share=SHARE if machine.machines > 1 else 1.0,
        weights=few.weights,
        ruler=_smeared(table.of_copies, seed),
    )
    machine.load_state_dict(fitted.state_dict())


def _smeared(rows: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Features of which no two are the same: a rank then hardly changes where a number does.

    Displaced copies share numbers, too: where the first image is the narrowest place, the
    bottleneck less that image is 0.
    """
    noise = SMEAR * np.random.default_rng(seed).standard_normal(rows.shape)
    return (rows + noise).astype(np.float32)


class _Table:
    """Records and copies, there and back: most barriers are those of symmetric hops.

    Args:
        every: features ``[n, F]`` of the records, then of each copy.
        roots: targets ``[n]``.
    """

    def __init__(self, every: Sequence[Tensor], roots: NDArray[np.float64]) -> None:
        both = [torch.cat([features, reversed_features(features)]) for features in every]
        self.features = torch.cat(both).numpy()
        self.targets = np.tile(roots, 2 * len(every))
        # Many records are symmetric, and have the same numbers: among these, the least displacement
        # would take a number from the middle of their ranks to an end. No two copies have the same.
        self.of_copies = torch.cat(both[1:] or both).numpy()
        self.weights = np.ones(len(self.targets))
        self.weights[2 * len(roots) :] = WEIGHT / max(1, len(every) - 1)
