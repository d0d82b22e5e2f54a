"""Edge-gated aggregation: where a triplet (or a bond) becomes a message."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import row_blocks

#: Added to the sum of gates before dividing, as in the reference.
EPS = 1e-6


def edge_gate(
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Gate every edge, and sum what passes at its target.

    .. math::
        m_e &= C y_e + a_{s(e)} + b_{t(e)} \\
        h_t &= \frac{\sum_{e \to t} w_e \sigma(m_e) v_{s(e)}}
                    {\sum_{e \to t} w_e \sigma(m_e) + 10^{-6}}

    Works in cache-sized blocks of edges and keeps only ``edge_attr`` and ``m`` for the backward
    pass, where gates and gathered rows are computed again.

    Args:
        edge_attr: ``[E, C]`` y.
        weight: ``[C, C]`` and bias ``[C]`` of the linear map of y.
        bias: see ``weight``.
        source_term: ``[N, C]`` a, added where the edge starts.
        target_term: ``[N, C]`` b, added where the edge ends.
        value: ``[N, C]`` v, what is sent along the edge.
        edge_index: ``[2, E]`` source and target of every edge.
        edge_weight: ``[E]`` how often the edge counts; 1 each if None. Not differentiated.

    Returns:
        h ``[N, C]`` (0 for a node without incoming edges) and m ``[E, C]``.

    Raises:
        RuntimeError: a second derivative is asked for; there is none.

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), eq. 2-4, after Bresson and
    Laurent, arXiv:1711.07553.
    """
    return _EdgeGate.apply(  # type: ignore[no-any-return, no-untyped-call]
        edge_attr, weight, bias, source_term, target_term, value, edge_index, edge_weight
    )


class _EdgeGate(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        edge_attr: Tensor,
        weight: Tensor,
        bias: Tensor,
        source_term: Tensor,
        target_term: Tensor,
        value: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        source, target = edge_index
        m = edge_attr.new_empty(edge_attr.size(0), weight.size(0))
        total = torch.zeros_like(value)
        norm = torch.zeros_like(value)
        for rows in row_blocks(m):
            s, t = source[rows], target[rows]
            block = torch.addmm(bias, edge_attr[rows], weight.t(), out=m[rows])
            block += source_term.index_select(0, s)
            block += target_term.index_select(0, t)
            gate = torch.sigmoid(block)
            if edge_weight is not None:
                gate *= edge_weight[rows, None]
            norm.index_add_(0, t, gate)
            gate *= value.index_select(0, s)
            total.index_add_(0, t, gate)
        norm += EPS
        h = total.div_(norm)
        ctx.save_for_backward(edge_attr, weight, value, edge_index, edge_weight, m, h, norm)
        ctx.set_materialize_grads(False)
        return h, m

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_m: Tensor | None) -> tuple[Any, ...]:
        edge_attr, weight, value, edge_index, edge_weight, m, h, norm = ctx.saved_tensors
        source, target = edge_index
        grad_edge = torch.empty_like(edge_attr) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight)
        grad_bias = weight.new_zeros(weight.size(0))
        grad_source, grad_target, grad_value = (torch.zeros_like(value) for _ in range(3))
        if grad_h is not None:
            grad_total = grad_h / norm
            grad_norm = grad_total * h
        for rows in row_blocks(m):
            s, t = source[rows], target[rows]
            if grad_h is None:
                grad = m.new_zeros(m[rows].shape) if grad_m is None else grad_m[rows]
            else:
                gate = torch.sigmoid(m[rows])
                slope = gate * (1 - gate)
                arriving = grad_total.index_select(0, t)
                if edge_weight is not None:
                    gate *= edge_weight[rows, None]
                    slope *= edge_weight[rows, None]
                grad_value.index_add_(0, s, gate.mul_(arriving))
                arriving *= value.index_select(0, s)
                arriving -= grad_norm.index_select(0, t)
                grad = slope.mul_(arriving)
                if grad_m is not None:
                    grad += grad_m[rows]
            grad_source.index_add_(0, s, grad)
            grad_target.index_add_(0, t, grad)
            grad_weight.addmm_(grad.t(), edge_attr[rows])
            grad_bias += grad.sum(0)
            if grad_edge is not None:
                torch.mm(grad, weight, out=grad_edge[rows])
        return (
            grad_edge,
            grad_weight,
            grad_bias,
            grad_source,
            grad_target,
            grad_value,
            None,
            None,
        )
