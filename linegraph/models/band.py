"""BAND-1: what the ion meets along its path, by networks, by trees and by a kernel machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..nn import Forest, KernelMachine
from ..reversal import reversed_features
from ..roots import signed_square
from .base import Model
from .path_network import BandHead, PathNetwork


class BandModel(Model):
    """Three that know different things, whose barriers are averaged.

    - A few *networks* (:class:`PathNetwork`): the images of the ion hear the host around them. They
      differ by what they started from alone, and their mean errs less than each of them.
    - The *trees* (:class:`linegraph.nn.Forest`) and the *machine*
      (:class:`linegraph.nn.KernelMachine`) look at features of the path and the composition
      (:mod:`linegraph.band_features`). The networks are given these, too.

    Each says the square root of the barrier, in which large and rare barriers weigh less, and the
    same of a hop and its way back. Trees and machine are not trained by gradients, and know the
    records they were made of by heart: while training, the networks speak alone, and each for
    itself.

    Args:
        networks: at least one.
        forest: on ``features``.
        machine: on ``features``.
        tree_share: of the trees in the barrier, from 0 to 1.
        machine_share: of the machine; the rest is that of the networks, in equal parts.

    Attributes:
        head: of the first network, which also says how far a hop is from others.

    Shapes:
        - input: a batch of the view ``path``, or a mapping with it
        - output: ``[B]``, migration barriers in eV; while training ``[B, K]``, of K networks

    Raises:
        ValueError: shares below 0, or above 1 together; no networks; a graph of another view.

    Source: ours.
    """

    views = ("path",)

    def __init__(
        self,
        networks: Sequence[PathNetwork],
        forest: Forest,
        machine: KernelMachine,
        tree_share: float,
        machine_share: float,
    ) -> None:
        super().__init__()
        # So that NaN is refused, too.
        if not (tree_share >= 0 and machine_share >= 0 and tree_share + machine_share <= 1):
            raise ValueError(
                f"shares of {tree_share} and {machine_share} leave none to the networks"
            )
        if not networks:
            raise ValueError("there are no networks")
        self.networks = nn.ModuleList(networks)
        self.forest = forest
        self.machine = machine
        self.tree_share, self.machine_share = tree_share, machine_share

    @property
    def head(self) -> BandHead:
        return self._all()[0].head

    def forward(self, batch: Any) -> Tensor:
        (path,) = self.seen(batch)
        if "features" not in path:
            raise ValueError(
                "BAND-1 looks at graphs of the view 'path', which have features of the band "
                "(linegraph.views makes them); this one has none"
            )
        # Everything is said of the hop and of its way back, and so the same of both.
        both = torch.cat([path["features"], reversed_features(path["features"])])
        scores = self.machine.scores(both)
        roots = torch.stack([network(path, scores) for network in self._all()], dim=1)
        networks = signed_square(roots)
        if self.training:
            return networks
        trees = signed_square(_mean_of_both(self.forest(both).mean(1)))
        machine = signed_square(_mean_of_both(self.machine(both)))
        rest = 1 - self.tree_share - self.machine_share
        return rest * networks.mean(1) + self.tree_share * trees + self.machine_share * machine

    def center(self, value: float) -> None:
        """Start at a barrier (eV)."""
        for network in self._all():
            network.head.output.bias.data.fill_(value**0.5 if value > 0 else 0.0)

    def _all(self) -> list[PathNetwork]:
        return cast(list[PathNetwork], list(self.networks))


def _mean_of_both(rows: Tensor) -> Tensor:
    """Of the hops ``[B, ...]`` and their ways back, which follow."""
    there, back = rows.chunk(2)
    return (there + back) / 2
