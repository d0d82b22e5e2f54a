"""Sums over segments of rows, with derivatives of any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def segment_sum(rows: Tensor, ptr: Tensor, summed: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Sum rows ``[E, C]`` over segments to ``[N, C]``, by an operator whose gradient has none.

    Args:
        rows: in order of their segment.
        ptr: ``[N + 1]`` where each segment begins and ends.
        summed: the operator, of rows and ptr.
    """
    out: Tensor = _SegmentSum.apply(rows, ptr, summed)  # type: ignore[no-untyped-call]
    return out


class _SegmentSum(torch.autograd.Function):
    """The gradient of a sum is that of its segment, for every row."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, ptr: Tensor, summed: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return summed(rows, ptr)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        rows, ptr, _ = inputs
        ctx.rows = rows.size(0)
        ctx.save_for_backward(ptr)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (ptr,) = ctx.saved_tensors
        segment = torch.repeat_interleave(ptr.diff(), output_size=ctx.rows)
        return grad.index_select(0, segment), None, None
