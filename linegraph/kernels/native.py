"""Back end in plain PyTorch: the default on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Backend, EdgeNorm, EdgeUpdate
from .edges import Edges
from .native_forward import Plan, gated
from .native_linear import LinearNormSiLU
from .native_norm import NormSiLU
from .native_update import GatedEdges


class Native(Backend):
    """Hand-written gradients; cache-sized blocks on a CPU, sorted segments on a GPU."""

    name = "native"
    about = "plain PyTorch: cache-sized blocks on a CPU, sorted segments (no atomics) on a GPU"

    def edge_gate(
        self,
        edge_attr: Tensor,
        weight: Tensor,
        bias: Tensor,
        source_term: Tensor,
        target_term: Tensor,
        value: Tensor,
        edges: Edges,
    ) -> tuple[Tensor, Tensor]:
        plan = Plan(edges, None, return_m=True, keep_m=True)
        h, m, *_ = GatedEdges.apply(  # type: ignore[no-untyped-call]
            plan, None, None, edge_attr, weight, bias, source_term, target_term, value
        )
        return h, m

    def norm_silu(
        self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, var = (None, None) if statistics is None else statistics
        return NormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, scale, shift, eps, row_weight, residual, mean, var
        )

    def linear_norm_silu(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None = None,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, var = (None, None) if statistics is None else statistics
        return LinearNormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, weight, bias, scale, shift, eps, row_weight, mean, var
        )

    def edge_update(
        self,
        edge_attr: Tensor,
        weight: Tensor,
        bias: Tensor,
        source_term: Tensor,
        target_term: Tensor,
        value: Tensor,
        edges: Edges,
        norm: EdgeNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        inputs = (edge_attr, weight, bias, source_term, target_term, value)
        scale_and_shift = () if norm is None else (norm.scale, norm.shift)
        if torch.is_grad_enabled() and any(x.requires_grad for x in (*inputs, *scale_and_shift)):
            plan = Plan(edges, norm, keep_m=not recompute)
            h, out, *moments = GatedEdges.apply(  # type: ignore[no-untyped-call]
                plan, *(scale_and_shift or (None, None)), *inputs
            )
            found = None if moments[0] is None else (moments[0], moments[1], moments[2])
        else:
            done = gated(Plan(edges, norm), *inputs)
            h, out, found = done.h.to(value.dtype), done.out, done.moments
        return EdgeUpdate(h, out, found)
