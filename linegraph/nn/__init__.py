"""Layers, each usable alone in any PyG model."""

from .alignn import ALIGNN
from .alignn_conv import ALIGNNConv
from .atom_embedding import AtomEmbedding
from .batch_norm import BatchNormSiLU
from .edge_gated_conv import EdgeGatedConv
from .head import PropertyHead
from .mlp import MLPLayer
from .rbf import RBFExpansion
from .scalar_embedding import ScalarEmbedding

__all__ = [
    "ALIGNN",
    "ALIGNNConv",
    "AtomEmbedding",
    "BatchNormSiLU",
    "EdgeGatedConv",
    "MLPLayer",
    "PropertyHead",
    "RBFExpansion",
    "ScalarEmbedding",
]
