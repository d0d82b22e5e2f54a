"""MODEL-3: one graph of the whole band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..nn import ALIGNN, PropertyHead
from .base import Model


class BandModel(Model):
    """Trunk on the band structure (host and all five images in one graph), then a head.

    Args:
        head: width inside the head.
        config: arguments of :class:`linegraph.nn.ALIGNN`.

    Shapes:
        - input: mapping with a batch of :class:`linegraph.CrystalGraph` under ``"band"``, or the
          batch itself
        - output: ``[B]``, migration barriers in eV

    Source: MODEL-3 of arXiv:2508.06436.
    """

    views = ("band",)

    def __init__(self, head: int = 128, **config: Any) -> None:
        super().__init__()
        self.trunk = ALIGNN(**config)
        self.head = PropertyHead(self.trunk.hidden, head)

    def forward(self, batch: Any) -> Tensor:
        graph = batch["band"] if isinstance(batch, Mapping) and "band" in batch else batch
        out: Tensor = self.head(self.trunk(graph))
        return out
