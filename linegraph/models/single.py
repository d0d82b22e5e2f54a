"""Models of one graph: ALIGNN, MODEL-3 and SCRATCH-MODEL-3."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..nn import ALIGNN
from .base import Model


class SingleModel(Model):
    """Trunk on one graph, then a head.

    Args:
        trunk: a trunk.
        head: ``[B, H]`` to ``[B]``.
        name: the view: ``"band"`` (host and all five images in one graph) or ``"crystal"``.

    Shapes:
        - input: mapping with a batch of :class:`linegraph.CrystalGraph` under the view's name, or
          the batch itself
        - output: ``[B]``; migration barriers in eV for the models of bands

    Source: MODEL-3 of arXiv:2508.06436; with a linear head on a crystal, the ALIGNN of Choudhary
    and DeCost, npj Comput. Mater. 7, 185 (2021).
    """

    def __init__(self, trunk: ALIGNN, head: nn.Module, name: str) -> None:
        super().__init__()
        self.views = (name,)
        self.trunk = trunk
        self.head = head

    def forward(self, batch: Any) -> Tensor:
        (graph,) = self.seen(batch)
        out: Tensor = self.head(self.trunk(graph))
        return out
