"""Embedding of a bond length or an angle."""

from __future__ import annotations

from torch import Tensor, nn

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
        out: Tensor = self.outer(self.inner(self.basis(value), weight), weight)
        return out
