"""Layers, each usable alone in any PyG model."""

from .alignn import ALIGNN
from .alignn_conv import ALIGNNConv
from .atom_embedding import AtomEmbedding
from .attention import AttentionReadout
from .batch_norm import BatchNormSiLU
from .edge_gated_conv import EdgeGatedConv
from .forest import Forest
from .head import LinearHead, PropertyHead
from .kernel_machine import KernelMachine
from .merge import Merge
from .mlp import MLPLayer
from .path_conv import PathConv
from .path_readout import PathReadout
from .rbf import RBFExpansion
from .recompute import set_recompute
from .scalar_embedding import ScalarEmbedding
from .stack import ALIGNNStack, Embedded
from .synchronised import set_synchronised

__all__ = [
    "ALIGNN",
    "ALIGNNConv",
    "ALIGNNStack",
    "AtomEmbedding",
    "AttentionReadout",
    "BatchNormSiLU",
    "EdgeGatedConv",
    "Embedded",
    "Forest",
    "KernelMachine",
    "LinearHead",
    "MLPLayer",
    "Merge",
    "PathConv",
    "PathReadout",
    "PropertyHead",
    "RBFExpansion",
    "ScalarEmbedding",
    "set_recompute",
    "set_synchronised",
]
