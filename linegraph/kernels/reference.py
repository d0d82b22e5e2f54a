"""The operations written out literally: the oracle that faster versions are tested against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .edge_gate import EPS


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
    """See :func:`linegraph.kernels.edge_gate`."""
    source, target = edge_index
    m = F.linear(edge_attr, weight, bias) + source_term[source] + target_term[target]
    gate = torch.sigmoid(m)
    if edge_weight is not None:
        gate = gate * edge_weight[:, None]
    total = torch.zeros_like(value).index_add(0, target, gate * value[source])
    norm = torch.zeros_like(value).index_add(0, target, gate)
    return total / (norm + EPS), m


def norm_silu(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None = None,
    residual: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`linegraph.kernels.norm_silu` (batch statistics)."""
    w = torch.ones_like(x[:, 0]) if row_weight is None else row_weight.to(x.dtype)
    count = w.sum()
    mean = (w[:, None] * x).sum(0) / count
    var = (w[:, None] * (x - mean) ** 2).sum(0) / count
    out = F.silu((x - mean) / (var + eps).sqrt() * scale + shift)
    return (out if residual is None else residual + out), mean, var, count
