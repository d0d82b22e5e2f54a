"""Embedding of a bond length or an angle."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels.blocks import row_blocks
from .mlp import MLPLayer
from .rbf import RBFExpansion


class ScalarEmbedding(nn.Module):
    """Radial basis, then two MLP layers: scalar -> bins -> embedding -> hidden.

    Shapes:
        - value ``[R]``, weight ``[R]`` (of the rows in batch statistics) or None
        - output ``[R, hidden]``
    """

    def __init__(self, low: float, high: float, bins: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.basis = RBFExpansion(low, high, bins)
        self.inner = MLPLayer(bins, embedding)
        self.outer = MLPLayer(embedding, hidden)

    def forward(self, value: Tensor, weight: Tensor | None = None) -> Tensor:
        if self.training or torch.is_grad_enabled() or value.numel() == 0:
            return self._embed(value, weight)
        # Without statistics or gradients to gather, rows have nothing to do with each other, and
        # the basis of all of them never has to exist at once.
        out = None
        for rows in row_blocks(value, self.outer.out_channels):
            part = self._embed(value[rows], None)
            if out is None:
                out = part.new_empty(value.size(0), part.size(1))
            out[rows] = part
        assert out is not None
        return out

    def _embed(self, value: Tensor, weight: Tensor | None) -> Tensor:
        out: Tensor = self.outer(self.inner(self.basis(value), weight), weight)
        return out
