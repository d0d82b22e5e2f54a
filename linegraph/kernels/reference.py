"""The operations written out literally: the oracle that faster versions are tested against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .backend import EPS, Backend, BatchNorm, Gate
from .edges import Edges


def gated(
    gate: Gate,
    source: Tensor,
    target: Tensor,
    copies: Tensor | None,
    summed: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """:func:`linegraph.kernels.edge_gate` as a formula.

    Args:
        gate: operands.
        source: ``[E]`` where each edge starts.
        target: ``[E]`` where it ends.
        copies: ``[E]`` how often it counts, or None for 1 each.
        summed: sums ``[E, C]`` over the edges into each node; ``index_add`` if None.
    """
    edge_attr, weight, bias, source_term, target_term, value = gate
    m = F.linear(edge_attr, weight, bias) + source_term[source] + target_term[target]
    opened = torch.sigmoid(m)
    if copies is not None:
        opened = opened * copies[:, None]
    if summed is None:
        zero = torch.zeros_like(value)
        total = zero.index_add(0, target, opened * value[source])
        return total / (zero.index_add(0, target, opened) + EPS), m
    return summed(opened * value[source]) / (summed(opened) + EPS), m


def normed(
    x: Tensor, norm: BatchNorm, row_weight: Tensor | None, residual: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`linegraph.kernels.norm_silu` as a formula."""
    w = torch.ones_like(x[:, 0]) if row_weight is None else row_weight.to(x.dtype)
    count = w.sum()
    if norm.statistics is not None:
        mean, var = norm.statistics
    else:
        some = torch.where(count > 0, count, 1.0)
        mean = (w[:, None] * x).sum(0) / some
        var = (w[:, None] * (x - mean) ** 2).sum(0) / some
        var = torch.where(count > 0, var, 1.0)
    out = F.silu((x - mean) / (var + norm.eps).sqrt() * norm.scale + norm.shift)
    out = out if residual is None else residual + out
    return out, mean.detach(), var.detach(), count


class Reference(Backend):
    """Unfused gathers and sums, derivatives of any order by autograd."""

    name = "reference"
    about = "literal and readable; derivatives of any order"

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        source, target = edges.index
        return gated(gate, source, target, edges.weight_as(gate.edge_attr.dtype))

    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return normed(x, norm, row_weight, residual)
