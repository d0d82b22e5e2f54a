"""Back end in plain PyTorch: the default on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Backend, BatchNorm, EdgeUpdate, Gate
from .edges import Edges
from .native_forward import gated
from .native_linear import LinearNormSiLU
from .native_norm import NormSiLU
from .native_update import GatedEdges
from .plan import Plan


class Native(Backend):
    """Hand-written gradients; cache-sized blocks on a CPU, sorted segments on a GPU."""

    name = "native"
    about = "plain PyTorch: cache-sized blocks on a CPU, sorted segments (no atomics) on a GPU"

    @torch.compiler.disable
    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        plan = Plan(edges, return_m=True, keep_m=True)
        h, m, *_ = GatedEdges.apply(  # type: ignore[no-untyped-call]
            plan, None, None, *gate
        )
        return h, m

    @torch.compiler.disable
    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale, shift, eps, statistics = norm
        return NormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, scale, shift, eps, row_weight, residual, *(statistics or (None, None))
        )

    @torch.compiler.disable
    def linear_norm_silu(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale, shift, eps, statistics = norm
        return LinearNormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, weight, bias, scale, shift, eps, row_weight, *(statistics or (None, None))
        )

    @torch.compiler.disable
    def edge_update(
        self,
        gate: Gate,
        edges: Edges,
        norm: BatchNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        scale_and_shift = () if norm is None else (norm.scale, norm.shift)
        if torch.is_grad_enabled() and any(x.requires_grad for x in (*gate, *scale_and_shift)):
            plan = Plan(edges, norm, keep_m=not recompute)
            h, out, *moments = GatedEdges.apply(  # type: ignore[no-untyped-call]
                plan, *(scale_and_shift or (None, None)), *gate
            )
            found = None if moments[0] is None else (moments[0], moments[1], moments[2])
        else:
            done = gated(Plan(edges, norm), *gate)
            h, out, found = done.h.to(gate.value.dtype), done.out, done.moments
        return EdgeUpdate(h, out, found)
