"""Embedding of elements."""

from __future__ import annotations

from torch import Tensor

from ..features import NUM_FEATURES
from .element_table import ElementTable
from .mlp import MLPLayer


class AtomEmbedding(ElementTable):
    """92 numbers per element, then an MLP layer.

    Shapes:
        - z ``[N]`` int64 atomic numbers, 1 to 103
        - output ``[N, hidden]``
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = MLPLayer(NUM_FEATURES, hidden)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.mlp(self.elements(z))
        return out
