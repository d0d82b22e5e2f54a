"""Back end compiled by PyTorch itself (TorchInductor)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .backend import EPS, Backend, BatchNorm, EdgeUpdate, Gate
from .edges import Edges

#: Variants of one operation that may be compiled in one process.
VARIANTS = 128


class Compiled(Backend):
    """``torch.compile`` of the operations as formulas, with gradients by autograd.

    Sizes are symbols, so batches of other sizes do not compile anew. The first call of each kind
    (training or not, weights or not, type of numbers) compiles for some seconds.
    """

    name = "compiled"
    about = "torch.compile of the formulas; compiles for some seconds at the first call"

    def __init__(self) -> None:
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}

    def missing(self) -> str | None:
        compilers = (os.environ.get("CXX"), "g++", "clang++")
        if not any(name and shutil.which(name) for name in compilers):
            return "torch.compile needs a C++ compiler: install g++, or set CXX"
        return None

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        copies = edges.weight_as(gate.edge_attr.dtype)
        h, m = self._call(_gate, *gate, *edges.index, copies)
        return h, m

    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale, shift, eps, statistics = norm
        mean, var = statistics or (None, None)
        weight = None if row_weight is None else row_weight.to(x.dtype)
        out, *found = self._call(_norm, x, scale, shift, eps, weight, residual, mean, var)
        return out, found[0], found[1], found[2]

    def edge_update(
        self,
        gate: Gate,
        edges: Edges,
        norm: BatchNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        inputs = (*gate, *edges.index)
        kind = gate.edge_attr.dtype
        copies, counts = edges.weight_as(kind), edges.count_as(kind)
        if norm is None:
            return EdgeUpdate(self._call(_gate, *inputs, copies)[0], None, None)
        mean, var = norm.statistics or (None, None)
        settings = (norm.scale, norm.shift, norm.eps, counts, mean, var)
        h, out, *found = self._call(_update, *inputs, copies, *settings)
        own = norm.statistics is None
        return EdgeUpdate(h, out, (found[0], found[1], found[2]) if own else None)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        if function not in self._compiled:
            self._compiled[function] = torch.compile(function, fullgraph=True, dynamic=True)
        # A variant each for training and evaluation, weights or none, widths, types, short and
        # long inputs: more than PyTorch allows by default, but no more with every batch.
        with torch._dynamo.config.patch(recompile_limit=VARIANTS):
            return self._compiled[function](*args)


def _gate(
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
    source: Tensor,
    target: Tensor,
    copies: Tensor | None,
) -> tuple[Tensor, Tensor]:
    m = F.linear(edge_attr, weight) + source_term[source] + (target_term + bias)[target]
    gate = torch.sigmoid(m)
    if copies is not None:
        gate = gate * copies[:, None]
    total = torch.zeros_like(value).index_add(0, target, gate * value[source])
    sums = torch.zeros_like(value).index_add(0, target, gate)
    return total / (sums + EPS), m


def _norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    count = x.new_zeros(()) + x.size(0) if row_weight is None else row_weight.sum()
    if mean is None or var is None:
        w = 1.0 if row_weight is None else row_weight[:, None]
        some = torch.where(count > 0, count, 1.0)
        mean = (w * x).sum(0) / some
        var = torch.where(count > 0, (w * (x - mean) ** 2).sum(0) / some, 1.0)
    out = F.silu((x - mean) * ((var + eps).rsqrt() * scale) + shift)
    return out if residual is None else residual + out, mean.detach(), var.detach(), count


def _update(
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
    source: Tensor,
    target: Tensor,
    copies: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    counts: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    h, m = _gate(edge_attr, weight, bias, source_term, target_term, value, source, target, copies)
    return h, *_norm(m, scale, shift, eps, counts, edge_attr, mean, var)
