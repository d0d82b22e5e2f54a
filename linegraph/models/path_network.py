"""The network of BAND-1: from what the images of a hop hear to the root of a barrier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..features import NUM_FEATURES
from ..nn import PathConv, PathReadout
from ..nn.element_table import ElementTable
from ..nn.path_conv import images_of


class BandHead(nn.Module):
    """Two linear maps: ``[B, channels]`` to ``[B]``."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Dropout(dropout))
        self.output = nn.Linear(hidden, 1)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.output(self.inner(h)).squeeze(-1)
        return out


class PathNetwork(ElementTable):
    """The root of a barrier, from the elements around the images and from features of the band.

    Each image of the ion hears the elements around it (:class:`linegraph.nn.PathConv`), and the
    five images together are read out, alike from either end (:class:`linegraph.nn.PathReadout`).
    Beside that it is told the ion, and the normal scores of features.

    Args:
        features: number of features F.
        hidden: width H.
        head: width inside the head.
        dropout: while training.

    Shapes:
        - path: a batch of the view ``path``
        - scores ``[2 B, F]``: of the hops, and then of their ways back
        - output ``[B]``, in eV^1/2

    Source: ours.
    """

    def __init__(self, features: int, hidden: int, head: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv = PathConv(NUM_FEATURES, hidden)
        self.readout = PathReadout(2 * hidden, hidden, dropout)
        self.ion = nn.Linear(NUM_FEATURES, hidden)
        self.whole = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Dropout(dropout))
        self.head = BandHead(5 * hidden, head, dropout)

    def forward(self, path: Any, scores: Tensor) -> Tensor:
        atoms = self.elements(path["z"])
        heard = self.readout(self.conv(atoms, path))
        ion = self.ion(atoms[images_of(path)[:, 0]])
        there, back = self.whole(scores.to(heard.dtype)).chunk(2)
        out: Tensor = self.head(torch.cat([heard, ion, (there + back) / 2], dim=1))
        return out
