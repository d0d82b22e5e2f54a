"""The operations written out literally: the oracle that faster versions are tested against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .backend import EPS, Backend, BatchNorm, Gate
from .edges import Edges


class Reference(Backend):
    """Unfused gathers and sums, derivatives of any order by autograd."""

    name = "reference"
    about = "literal and readable; derivatives of any order"

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        edge_attr, weight, bias, source_term, target_term, value = gate
        source, target = edges.index
        m = F.linear(edge_attr, weight, bias) + source_term[source] + target_term[target]
        opened = torch.sigmoid(m)
        copies = edges.weight_as(m.dtype)
        if copies is not None:
            opened = opened * copies[:, None]
        total = torch.zeros_like(value).index_add(0, target, opened * value[source])
        norm = torch.zeros_like(value).index_add(0, target, opened)
        return total / (norm + EPS), m

    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale, shift, eps, statistics = norm
        w = torch.ones_like(x[:, 0]) if row_weight is None else row_weight.to(x.dtype)
        count = w.sum()
        if statistics is not None:
            mean, var = statistics
        elif bool(count > 0):
            mean = (w[:, None] * x).sum(0) / count
            var = (w[:, None] * (x - mean) ** 2).sum(0) / count
        else:
            mean, var = torch.zeros_like(scale), torch.ones_like(scale)
        out = F.silu((x - mean) / (var + eps).sqrt() * scale + shift)
        out = out if residual is None else residual + out
        return out, mean.detach(), var.detach(), count
