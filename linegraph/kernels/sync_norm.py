"""Batch normalisation over the rows of all processes of a job, and SiLU."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from .backend import Moments
from .blocks import Scratch, row_blocks, wide
from .moments import RunningMoments
from .normalise import Affine, NormGradients


def sync_norm_silu(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None = None,
    residual: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r""":func:`linegraph.kernels.norm_silu` by the statistics of the rows of all processes.

    Every process of the default group of ``torch.distributed`` calls it, with rows of its own, or
    with none, and every one of them goes through its backward pass. With :math:`L_r` the loss of
    process r, the gradients are those of :math:`\sum_r L_r`: of the rows completely, of ``scale``
    and ``shift`` the part of the own rows, which the caller adds up with those of all other
    parameters.

    It runs in plain PyTorch whatever the back end, on the device of ``x``, whose tensors the group
    must be able to exchange (gloo on a CPU, NCCL on GPUs).

    Args:
        x: ``[R, C]``, R of this process.
        scale: as in :func:`linegraph.kernels.norm_silu`, the same in all processes.
        shift: likewise.
        eps: likewise.
        row_weight: ``[R]``; 1 each if None.
        residual: ``[R, C]``; 0 if None.

    Returns:
        as :func:`linegraph.kernels.norm_silu`; mean, variance and weight are those of all rows.

    Raises:
        RuntimeError: there is no group, another process has ended, or a second derivative is
            asked for.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "synchronised batch statistics need torch.distributed.init_process_group; "
            "linegraph.nn.set_synchronised(model, False) goes without"
        )
    with torch.autocast(x.device.type, enabled=False):
        out: tuple[Tensor, Tensor, Tensor, Tensor] = _SyncNormSiLU.apply(  # type: ignore[no-untyped-call]
            x, scale, shift, eps, row_weight, residual
        )
    return out


class _SyncNormSiLU(torch.autograd.Function):
    """Keeps ``x`` and the statistics for the backward pass; one exchange in each pass."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None,
        residual: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kind, channels = wide(x.dtype), x.size(1)
        weight = None if row_weight is None else row_weight.to(kind)
        scratch = Scratch(x, channels, kind)
        own = RunningMoments.of_rows(x, weight, scale.to(kind), scratch)
        mean, var, count = _of_all(own)
        affine = Affine.of(mean, var, scale.to(kind), shift.to(kind), eps)
        out = torch.empty_like(x)
        for rows in row_blocks(x, channels):
            block = affine.activated(x[rows].to(kind), scratch("square", rows))
            out[rows] = block if residual is None else block.add_(residual[rows])
        ctx.save_for_backward(x, weight, count, *affine)
        ctx.residual = None if residual is None else residual.dtype
        ctx.mark_non_differentiable(mean, var, count)
        return out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, count, *affine = ctx.saved_tensors
        kind, channels = wide(x.dtype), x.size(1)
        sums = NormGradients(Affine(*affine), count, Scratch(x, channels, kind))
        grad_x = torch.empty_like(x)
        for rows in row_blocks(x, channels):
            grad_x[rows] = sums.add(rows, x[rows].to(kind), grad_out[rows].to(kind))
        of_scale, of_shift = sums.scale, sums.shift
        # What every row owes to the statistics depends on the rows of all processes.
        both = torch.stack([sums.along, sums.shift])
        dist.all_reduce(both)
        sums.along, sums.shift = both
        for rows in row_blocks(x, channels):
            part = None if weight is None else weight[rows]
            grad_x[rows] = sums.finish(rows, x[rows].to(kind), grad_x[rows].to(kind), part)
        residual = None if ctx.residual is None else grad_out.to(ctx.residual)
        return grad_x, of_scale, of_shift, None, None, residual


def _of_all(own: RunningMoments) -> Moments:
    """Moments of the rows of all processes, the same bits in each.

    Squares are about the mean of a process and are merged as in Chan, Golub and LeVeque (1983), in
    the order of the processes.
    """
    mine = torch.cat([own.count[None], own.mean, own.square])
    gathered = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, mine)
    parts = torch.stack(gathered)
    channels = own.mean.numel()
    counts, means, squares = torch.split(parts, [1, channels, channels], dim=1)
    count = counts.sum()
    some = count.clamp_min(torch.finfo(count.dtype).tiny)
    mean = (counts * means).sum(0) / some
    var = (squares + counts * (means - mean) ** 2).sum(0) / some
    return mean, torch.where(count > 0, var, torch.ones_like(var)), count
