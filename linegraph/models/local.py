"""MODEL-4: the band and the surroundings of the path, read out by attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..nn import ALIGNN, AttentionReadout, Merge
from .base import Model


class LocalModel(Model):
    """One trunk on the band and on the local graph, each read out by its own attention.

    Args:
        trunk: a trunk, the same for both.
        readout: of the band.
        local_readout: of the local graph.
        merge: how the two vectors become one.
        head: ``[B, merge.channels]`` to ``[B]``.

    Shapes:
        - input: mapping with batches under ``"band"`` and ``"local"``
        - output: ``[B]``, migration barriers in eV

    Source: MODEL-4 of arXiv:2508.06436.
    """

    views = ("band", "local")

    def __init__(
        self,
        trunk: ALIGNN,
        readout: AttentionReadout,
        local_readout: AttentionReadout,
        merge: Merge,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.readout = readout
        self.local_readout = local_readout
        self.merge = merge
        self.head = head

    def forward(self, batch: Any) -> Tensor:
        band, local = self.seen(batch)
        whole = self.readout(self.trunk.atoms(band), band)
        near = self.local_readout(self.trunk.atoms(local), local)
        out: Tensor = self.head(self.merge(whole, near))
        return out
