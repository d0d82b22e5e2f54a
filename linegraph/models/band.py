"""BAND-1: what the ion meets along its path, by a network, by trees and by a kernel machine."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..images import IMAGES
from ..nn import ALIGNN, Forest, KernelMachine, PathConv, PathReadout
from ..nn.path_conv import TINY, first_atoms, images_of
from ..reversal import reversed_features
from .base import Model, view


class BandHead(nn.Module):
    """Two linear maps: ``[B, channels]`` to ``[B]``."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Dropout(dropout))
        self.output = nn.Linear(hidden, 1)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.output(self.inner(h)).squeeze(-1)
        return out


class BandModel(Model):
    """Three that know different things, whose barriers are averaged.

    - The *network*: a pre-trained trunk describes every atom of the host, as the mean of what it is
      in the initial and in the final structure. Each image of the ion hears the atoms around it
      (:class:`linegraph.nn.PathConv`), and the five images together are read out, alike from
      either end (:class:`linegraph.nn.PathReadout`).
    - The *trees* (:class:`linegraph.nn.Forest`) and the *machine*
      (:class:`linegraph.nn.KernelMachine`) look at features of the path and the composition
      (:mod:`linegraph.band_features`). The network is given these, too.

    Each says the square root of the barrier, in which large and rare barriers weigh less, and the
    same of a hop and its way back. Trees and machine are not trained by gradients, and know the
    records they were made of by heart: while training, the network speaks alone.

    Args:
        trunk: a trunk, pre-trained; ``vectors [N, H]`` of the graph of the path, where they are
            given, take its place.
        conv: from the host to the images.
        readout: from the images to one vector.
        head: to the root of a barrier.
        forest: on ``features``.
        machine: on ``features``.
        tree_share: of the trees in the barrier, from 0 to 1.
        machine_share: of the machine; the rest is the network's.
        dropout: of what the network sees of the features, while training.

    Shapes:
        - input: mapping with batches under ``"initial"``, ``"final"`` and ``"path"``
        - output: ``[B]``, migration barriers in eV

    Raises:
        ValueError: shares below 0, or above 1 together.

    Source: ours.
    """

    views = ("initial", "final", "path")
    trunk: ALIGNN
    head: BandHead
    mean: Tensor
    width: Tensor

    def __init__(
        self,
        trunk: ALIGNN,
        conv: PathConv,
        readout: PathReadout,
        head: BandHead,
        forest: Forest,
        machine: KernelMachine,
        tree_share: float,
        machine_share: float,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        # So that NaN is refused, too.
        if not (tree_share >= 0 and machine_share >= 0 and tree_share + machine_share <= 1):
            raise ValueError(
                f"shares of {tree_share} and {machine_share} leave none to the network"
            )
        self.trunk = trunk
        self.conv = conv
        self.readout = readout
        self.ion = nn.Linear(conv.elements.size(1), conv.hidden)
        self.whole = nn.Sequential(
            nn.Linear(machine.features, conv.hidden), nn.SiLU(), nn.Dropout(dropout)
        )
        self.head = head
        self.forest = forest
        self.machine = machine
        self.tree_share, self.machine_share = tree_share, machine_share
        self.register_buffer("mean", torch.zeros(trunk.hidden))
        self.register_buffer("width", torch.ones(trunk.hidden))

    def forward(self, batch: Any) -> Tensor:
        path = view(batch, "path")
        features = path["features"]
        heard = self.readout(self.conv(self.host(batch), path))
        ion = self.ion(self.conv.elements[path["z"][images_of(path)[:, 0]]])
        # Everything is said of the hop and of its way back, and so the same of both.
        both = torch.cat([features, reversed_features(features)])
        whole = _mean_of_both(self.whole(self.machine.scores(both).to(heard.dtype)))
        network = signed_square(self.head(torch.cat([heard, ion, whole], dim=1)))
        if self.training:
            return network
        trees = signed_square(_mean_of_both(self.forest(both).mean(1)))
        machine = signed_square(_mean_of_both(self.machine(both)))
        rest = 1 - self.tree_share - self.machine_share
        return rest * network + self.tree_share * trees + self.machine_share * machine

    def host(self, batch: Any) -> Tensor:
        """What describes every atom of the band ``[N, H]``, at one scale."""
        path = view(batch, "path")
        vectors: Tensor = path["vectors"] if "vectors" in path else self.vectors(batch)
        return (vectors - self.mean) / self.width

    def prepared(self, batch: Any) -> Any:
        """The batch with what the trunk says in ``vectors``."""
        path = copy(view(batch, "path"))
        with torch.inference_mode():
            path["vectors"] = self.vectors(batch)
        return {**batch, "path": path}

    def vectors(self, batch: Any) -> Tensor:
        """What the trunk says of every atom of the band ``[N, H]``: the mean over both ends."""
        path = view(batch, "path")
        found = []
        for end in ("initial", "final"):
            structure = view(batch, end)
            found.append(self.trunk.atoms(structure)[rows_at_end(path, structure)])
        return (found[0] + found[1]) / 2

    def center(self, value: float) -> None:
        """Start at a barrier (eV)."""
        self.head.output.bias.data.fill_(value**0.5 if value > 0 else 0.0)


def _mean_of_both(rows: Tensor) -> Tensor:
    """Of the hops ``[B, ...]`` and their ways back, which follow."""
    there, back = rows.chunk(2)
    return (there + back) / 2


def signed_square(root: Tensor) -> Tensor:
    """``root |root|``: a square that can be undone."""
    return root * root.abs()


def signed_root(value: Tensor) -> Tensor:
    """What :func:`signed_square` undoes, with a finite slope at 0."""
    return value.sign() * (value.abs() + TINY).sqrt()


def rows_at_end(path: Any, structure: Any) -> Tensor:
    """Which atom of the structures at one end every atom of the bands is ``[N]``."""
    first = images_of(path)[:, 0]
    count = torch.diff(first, append=first.new_tensor([path["z"].size(0)]))
    start = first_atoms(structure)
    atom = torch.arange(path["z"].size(0), device=first.device) - first.repeat_interleave(count)
    return start.repeat_interleave(count) + (atom - (IMAGES - 1)).clamp(min=0)
