"""Which submodules a kernel may take apart."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations


def fusible(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a kernel may read ``weight`` and ``bias`` of a submodule in place of calling it.

    It may where the result is the same: the submodule is of exactly this kind, computes what its
    class says and has no hooks of its own, as pruning, adapters and what records activations put
    in place. What :mod:`torch.nn.utils.parametrize` makes of a parameter, kernels read as it is.

    Args:
        module: the submodule.
        kind: its class as it was made here.

    Raises:
        TypeError: it is a ``SyncBatchNorm``, which knows neither weights of rows nor residuals.
    """
    if isinstance(module, nn.SyncBatchNorm):
        raise TypeError(
            "SyncBatchNorm cannot weight rows: build the model anew, without "
            "convert_sync_batchnorm, and call linegraph.nn.set_synchronised(model)"
        )
    return (
        (type(module) is kind or type_before_parametrizations(module) is kind)
        and module.bias is not None
        and "forward" not in module.__dict__
        and not (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
        )
    )
