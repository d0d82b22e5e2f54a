"""Batch statistics over several processes."""

from __future__ import annotations

from torch import nn

from .batch_norm import BatchNormSiLU


def set_synchronised(module: nn.Module, synchronised: bool = True) -> None:
    """Take batch statistics, in training, over the rows of all processes, or stop doing so.

    For training in several processes of ``torch.distributed``, each with a share of every batch:
    all of them must then call the module, with an empty share too, and go through the backward
    pass. Works on every back end; see :func:`linegraph.kernels.sync_norm.sync_norm_silu`. In
    evaluation, and where a layer is frozen in evaluation mode, nothing is exchanged.

    Args:
        module: any module; its batch normalisations are set.
        synchronised: on or off.
    """
    for part in module.modules():
        if isinstance(part, BatchNormSiLU):
            part.synchronised = synchronised
