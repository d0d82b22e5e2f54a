"""Back end compiled by PyTorch itself (TorchInductor)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .backend import Backend, BatchNorm, EdgeUpdate, Gate
from .edges import Edges
from .reference import gated, normed

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
        h, m = self._call(gated, gate, *edges.index, edges.weight_as(gate.edge_attr.dtype))
        return h, m

    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        out, mean, var, count = self._call(normed, x, norm, row_weight, residual)
        return out, mean, var, count

    def edge_update(
        self,
        gate: Gate,
        edges: Edges,
        norm: BatchNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        kind = gate.edge_attr.dtype
        inputs = (gate, *edges.index, edges.weight_as(kind))
        if norm is None:
            return EdgeUpdate(self._call(gated, *inputs)[0], None, None)
        h, out, *found = self._call(_update, *inputs, norm, edges.count_as(kind))
        own = norm.statistics is None
        return EdgeUpdate(h, out, (found[0], found[1], found[2]) if own else None)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args)
        if function not in self._compiled:
            self._compiled[function] = torch.compile(function, fullgraph=True, dynamic=True)
        # A variant each for training and evaluation, weights or none, widths, types, short and
        # long inputs: more than PyTorch allows by default, but no more with every batch.
        with torch._dynamo.config.patch(recompile_limit=VARIANTS):
            return self._compiled[function](*args)


def _update(
    gate: Gate,
    source: Tensor,
    target: Tensor,
    copies: Tensor | None,
    norm: BatchNorm,
    counts: Tensor | None,
) -> tuple[Tensor, ...]:
    h, m = gated(gate, source, target, copies)
    return h, *normed(m, norm, counts, gate.edge_attr)
