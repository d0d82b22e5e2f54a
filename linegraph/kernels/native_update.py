"""The gradient of gating, summing and renewing edges, block by block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import Scratch, add_at, in_blocks, row_blocks, wide
from .native_forward import Terms, gated
from .normalise import Affine, NormGradients
from .plan import Plan


class GatedEdges(torch.autograd.Function):
    """Keeps the edges and, if the plan says so, m; computes gates and gathered rows again.

    Outputs: h; m, or the new edges, or nothing; then mean, variance and count of m where its own
    statistics were used. Gates and sums are as in :func:`gated`.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, plan: Plan, scale: Tensor | None, shift: Tensor | None, *inputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        done = gated(plan, *inputs)
        mean, var, count = done.moments or (None, None, None)
        ctx.plan = plan
        ctx.dtypes = [None if x is None else x.dtype for x in (scale, shift, *inputs)]
        ctx.save_for_backward(
            *(inputs[0], inputs[1], done.terms.source, done.terms.target, done.value),
            *(done.h, done.sums, done.m if plan.keep_m else None, count),
            *(done.affine or (None,) * 4),
        )
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(x for x in (mean, var, count) if x is not None))
        return done.h.to(inputs[5].dtype), done.m if plan.return_m else done.out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_out: Tensor | None, *_: Any) -> Any:
        edge_attr, weight, a, b, value, h, sums, m, count, *affine = ctx.saved_tensors
        plan: Plan = ctx.plan
        edges = plan.edges
        kind, channels = wide(edge_attr.dtype), weight.size(0)
        source, target = edges.index
        terms = Terms(edge_attr, weight.to(edge_attr.dtype), a, b)
        copies, counts = edges.weight_as(kind), edges.count_as(kind)
        by_target = by_source = None
        if not in_blocks(edge_attr.device):
            by_target, by_source = edges.by_target, edges.by_source
        grad_edge = torch.empty_like(edge_attr)
        grad_weight = torch.zeros_like(terms.weight)
        grad_source, grad_target, grad_value = (torch.zeros_like(value) for _ in range(3))

        scratch = Scratch(edge_attr, channels, kind)

        def m_of(rows: slice) -> Tensor:
            if m is not None:
                kept: Tensor = m[rows].to(kind)
                return kept
            return terms.m(rows, source[rows], target[rows], scratch)

        norm = None
        if plan.norm is not None and grad_out is not None:
            norm = NormGradients(Affine(*affine), count, scratch)
            # The gradient before the SiLU waits where the gradient of the edges will be.
            for rows in row_blocks(edge_attr, channels):
                grad_edge[rows] = norm.add(rows, m_of(rows), grad_out[rows].to(kind))
        if grad_h is not None:
            grad_total = grad_h.to(kind) / sums
            grad_norm = grad_total * h
        for rows in row_blocks(edge_attr, channels):
            s, t = source[rows], target[rows]
            block = m_of(rows)
            grad = scratch("grad", rows)
            if grad_h is None:
                grad.zero_()
            else:
                gate = torch.sigmoid(block, out=scratch("gate", rows))
                torch.addcmul(gate, gate, gate, value=-1, out=grad)
                if copies is not None:
                    gate *= copies[rows, None]
                    grad *= copies[rows, None]
                arriving = torch.index_select(grad_total, 0, t, out=scratch("arriving", rows))
                add_at(grad_value, s, gate.mul_(arriving), by_source)
                gathered = scratch("gathered", rows)
                arriving *= torch.index_select(value, 0, s, out=gathered)
                arriving -= torch.index_select(grad_norm, 0, t, out=gathered)
                grad *= arriving
            if norm is not None:
                part = None if counts is None else counts[rows]
                grad += norm.finish(rows, block, grad_edge[rows].to(kind), part)
            elif plan.return_m and grad_out is not None:
                grad += grad_out[rows]
            add_at(grad_source, s, grad, by_source)
            add_at(grad_target, t, grad, by_target)
            grad = grad.to(edge_attr.dtype)
            grad_weight.addmm_(grad.t(), edge_attr[rows])
            if norm is not None and grad_out is not None:
                # The residual connection adds the gradient of the new edges.
                torch.addmm(grad_out[rows], grad, terms.weight, out=grad_edge[rows])
            else:
                torch.mm(grad, terms.weight, out=grad_edge[rows])
        grads = (
            *((None, None) if norm is None else (norm.scale, norm.shift)),
            *(grad_edge, grad_weight, grad_target.sum(0)),
            *(grad_source, grad_target, grad_value),
        )
        pairs = zip(grads, ctx.dtypes, strict=True)
        return (None, *(None if x is None else x.to(dtype) for x, dtype in pairs))
