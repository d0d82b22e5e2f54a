"""Normalise, activate, add, in plain PyTorch: the step after every linear map of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import Scratch, row_blocks, wide
from .moments import RunningMoments
from .normalise import Affine, NormGradients


class NormSiLU(torch.autograd.Function):
    """Keeps only ``x`` and the statistics for the backward pass."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None,
        residual: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kind, channels = wide(x.dtype), x.size(1)
        weight = None if row_weight is None else row_weight.to(kind)
        scratch = Scratch(x, channels, kind)
        ctx.of_batch = mean is None or var is None
        if mean is None or var is None:
            moments = RunningMoments.of_rows(x, weight, scale.to(kind), scratch)
            mean, var, count = moments.result()
        else:
            count = x.new_tensor(float(x.size(0))) if weight is None else weight.sum()
        affine = Affine.of(mean, var, scale.to(kind), shift.to(kind), eps)
        out = torch.empty_like(x)
        for rows in row_blocks(x, channels):
            block = affine.activated(x[rows].to(kind), scratch("square", rows))
            if residual is None:
                out[rows] = block
            else:
                torch.add(block, residual[rows], out=out[rows])
        ctx.save_for_backward(x, weight, count, *affine)
        ctx.residual = residual is not None
        ctx.mark_non_differentiable(mean, var, count)
        return out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, count, *affine = ctx.saved_tensors
        kind, channels = wide(x.dtype), x.size(1)
        scratch = Scratch(x, channels, kind)
        sums = NormGradients(Affine(*affine), count if ctx.of_batch else None, scratch)
        grad_x = torch.empty_like(x)
        for rows in row_blocks(x, channels):
            grad_x[rows] = sums.add(rows, x[rows].to(kind), grad_out[rows].to(kind))
        for rows in row_blocks(x, channels):
            part = None if weight is None else weight[rows]
            grad_x[rows] = sums.finish(rows, x[rows].to(kind), grad_x[rows].to(kind), part)
        residual = grad_out if ctx.residual else None
        return grad_x, sums.scale, sums.shift, None, None, residual, None, None
