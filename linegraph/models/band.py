"""Models of one graph: MODEL-3 and SCRATCH-MODEL-3."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..nn import ALIGNN
from .base import Model, view


class BandModel(Model):
    """Trunk on the band structure (host and all five images in one graph), then a head.

    Args:
        trunk: a trunk.
        head: ``[B, H]`` to ``[B]``.

    Shapes:
        - input: mapping with a batch of :class:`linegraph.CrystalGraph` under ``"band"``, or the
          batch itself
        - output: ``[B]``, migration barriers in eV

    Source: MODEL-3 of arXiv:2508.06436.
    """

    views = ("band",)

    def __init__(self, trunk: ALIGNN, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, batch: Any) -> Tensor:
        out: Tensor = self.head(self.trunk(view(batch, "band")))
        return out
