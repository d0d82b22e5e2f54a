"""Embedding of elements."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..features import element_features
from .mlp import MLPLayer


class AtomEmbedding(nn.Module):
    """92 numbers per element, then an MLP layer.

    Shapes:
        - z ``[N]`` int64 atomic numbers, 1 to 103
        - output ``[N, hidden]``
    """

    table: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        table = element_features().to(torch.get_default_dtype())
        # Facts, not weights: they belong in no checkpoint.
        self.register_buffer("table", table, persistent=False)
        self.mlp = MLPLayer(table.size(1), hidden)

    def forward(self, z: Tensor) -> Tensor:
        if z.numel() > 0 and not 1 <= int(z.min()) <= int(z.max()) < self.table.size(0):
            raise ValueError(f"atomic numbers must lie in 1..{self.table.size(0) - 1}")
        out: Tensor = self.mlp(self.table[z])
        return out
