"""Linear map, normalisation and SiLU in plain PyTorch, keeping only the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import Scratch, row_blocks, wide
from .moments import RunningMoments
from .normalise import Affine, NormGradients


class LinearNormSiLU(torch.autograd.Function):
    """The product, four times as wide as its input where angles are embedded, is not kept."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kind, channels = wide(x.dtype), weight.size(0)
        weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        copies = None if row_weight is None else row_weight.to(kind)
        scratch = Scratch(x, channels, kind)
        out = x.new_empty(x.size(0), channels)
        ctx.of_batch = mean is None or var is None
        moments = RunningMoments(scale.to(kind))
        for rows in row_blocks(x, channels):
            product = torch.addmm(bias, x[rows], weight.t(), out=out[rows])
            if ctx.of_batch:
                part = None if copies is None else copies[rows]
                moments.add(product.to(kind), part, scratch("square", rows))
        if mean is None or var is None:
            mean, var, count = moments.result()
        else:
            count = x.new_tensor(float(x.size(0))) if copies is None else copies.sum()
        affine = Affine.of(mean, var, scale.to(kind), shift.to(kind), eps)
        for rows in row_blocks(x, channels):
            out[rows] = affine.activated(out[rows].to(kind), scratch("square", rows))
        ctx.save_for_backward(x, weight, bias, copies, count, *affine)
        ctx.mark_non_differentiable(mean, var, count)
        return out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, bias, copies, count, *affine = ctx.saved_tensors
        kind, channels = wide(x.dtype), weight.size(0)
        scratch = Scratch(x, channels, kind)
        sums = NormGradients(Affine(*affine), count if ctx.of_batch else None, scratch)
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight)
        grad_bias = torch.zeros_like(sums.shift)
        before = grad_out.new_empty(grad_out.shape)

        def product(rows: slice) -> Tensor:
            return torch.addmm(bias, x[rows], weight.t()).to(kind)

        for rows in row_blocks(x, channels):
            before[rows] = sums.add(rows, product(rows), grad_out[rows].to(kind))
        for rows in row_blocks(x, channels):
            part = None if copies is None else copies[rows]
            grad = sums.finish(rows, product(rows), before[rows].to(kind), part)
            grad_bias += grad.sum(0)
            grad = grad.to(x.dtype)
            grad_weight.addmm_(grad.t(), x[rows])
            if grad_x is not None:
                torch.mm(grad, weight, out=grad_x[rows])
        return grad_x, grad_weight, grad_bias, sums.scale, sums.shift, None, None, None, None
