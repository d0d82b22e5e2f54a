"""MPT: many properties of one crystal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..nn import ALIGNN
from .base import Model


class PropertiesModel(Model):
    """One trunk, one head per property.

    Args:
        trunk: a trunk.
        heads: one ``[B, H]`` to ``[B]`` per property.

    Shapes:
        - input: mapping with a batch under ``"crystal"``, or the batch itself; ``mask``
          ``[B, heads]`` multiplies the outputs, if given
        - output: ``[B, heads]``

    Source: the MPT model (Figure S2) of arXiv:2508.06436.
    """

    views = ("crystal",)

    def __init__(self, trunk: ALIGNN, heads: list[nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(heads)

    def forward(self, batch: Any, mask: Tensor | None = None) -> Tensor:
        (crystal,) = self.seen(batch)
        h = self.trunk(crystal)
        out = torch.stack([head(h) for head in self.heads], dim=-1)
        return out if mask is None else out * mask
