"""Activation checkpointing."""

from __future__ import annotations

from torch import nn

from .edge_gated_conv import EdgeGatedConv


def set_recompute(module: nn.Module, recompute: bool = True) -> None:
    """Keep less for the backward pass and compute it again there, or stop doing so.

    Convolutions then keep only the features of their edges, where they would also keep as many
    numbers made of them. Results and gradients stay the same.

    Args:
        module: any module; its convolutions are set.
        recompute: on or off.
    """
    for part in module.modules():
        if isinstance(part, EdgeGatedConv):
            part.recompute = recompute
