"""Normalise, activate, add: the step after every linear map of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import row_blocks


def norm_silu(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None = None,
    residual: Tensor | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Weighted batch normalisation, SiLU, and the residual connection in one pass.

    .. math::
        n &= \sum_i w_i, \quad \mu = \frac{1}{n}\sum_i w_i x_i, \quad
        \sigma^2 = \frac{1}{n}\sum_i w_i (x_i - \mu)^2 \\
        o_i &= r_i + \mathrm{SiLU}\Bigl(\gamma\frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}
        + \beta\Bigr)

    A row of weight w normalises like w equal rows (Ioffe and Szegedy, arXiv:1502.03167). Only
    ``x`` and the statistics are kept for the backward pass.

    Args:
        x: ``[R, C]``.
        scale: ``[C]`` gamma.
        shift: ``[C]`` beta.
        eps: added to the variance.
        row_weight: ``[R]`` w; 1 each if None. Not differentiated.
        residual: ``[R, C]`` r; 0 if None.
        statistics: mean and variance ``[C]`` to normalise by instead of the batch's.

    Returns:
        o ``[R, C]``, and the mean ``[C]``, biased variance ``[C]`` and n (scalar) used; without
        gradient. With no rows, or rows of no weight, the batch's mean is 0 and its variance 1.

    Raises:
        RuntimeError: a second derivative is asked for; there is none.
    """
    if row_weight is not None:
        row_weight = row_weight.to(x.dtype)
    mean, var = (None, None) if statistics is None else statistics
    return _NormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
        x, scale, shift, eps, row_weight, residual, mean, var
    )


class _NormSiLU(torch.autograd.Function):
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
        ctx.of_batch = mean is None or var is None
        count = x.new_tensor(float(x.size(0))) if row_weight is None else row_weight.sum()
        if mean is None or var is None:
            mean, var = _batch_statistics(x, row_weight, count)
        rstd = (var + eps).rsqrt()
        out = torch.empty_like(x)
        for rows in row_blocks(x):
            block = torch.sub(x[rows], mean, out=out[rows])
            block *= rstd * scale
            block += shift
            torch.nn.functional.silu(block, inplace=True)
            if residual is not None:
                block += residual[rows]
        ctx.save_for_backward(x, scale, shift, row_weight, mean, rstd, count)
        ctx.residual = residual is not None
        ctx.mark_non_differentiable(mean, var, count)
        return out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Any, ...]:
        x, scale, shift, row_weight, mean, rstd, count = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        grad_scale, grad_shift = torch.zeros_like(scale), torch.zeros_like(shift)
        for rows in row_blocks(x):
            # grad_x first holds the gradient before the affine map, for the second pass.
            unit = (x[rows] - mean).mul_(rstd)
            before = unit * scale + shift
            gate = torch.sigmoid(before)
            before.mul_(1 - gate).add_(1).mul_(gate)
            torch.mul(grad_out[rows], before, out=grad_x[rows])
            grad_shift += grad_x[rows].sum(0)
            grad_scale += unit.mul_(grad_x[rows]).sum(0)
        # A batch without weight was normalised by constants, not by its own statistics.
        own = ctx.of_batch and bool(count > 0)
        for rows in row_blocks(x):
            block = grad_x[rows]
            if own:
                unit = (x[rows] - mean).mul_(rstd)
                share = unit.mul_(grad_scale).add_(grad_shift)
                share /= count
                if row_weight is not None:
                    share *= row_weight[rows, None]
                block -= share
            block *= rstd * scale
        residual = grad_out if ctx.residual else None
        return grad_x, grad_scale, grad_shift, None, None, residual, None, None


def _batch_statistics(x: Tensor, row_weight: Tensor | None, count: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.new_zeros(x.size(1))
    var = torch.zeros_like(mean)
    if not bool(count > 0):
        return mean, var + 1
    for rows in row_blocks(x):
        mean += x[rows].sum(0) if row_weight is None else row_weight[rows] @ x[rows]
    mean /= count
    for rows in row_blocks(x):
        square = (x[rows] - mean).square_()
        var += square.sum(0) if row_weight is None else row_weight[rows] @ square
    var /= count
    return mean, var
