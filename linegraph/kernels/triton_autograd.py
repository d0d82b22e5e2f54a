"""The operations with their gradients, put together from kernels and matrix products."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .backend import Moments
from .plan import Plan
from .triton_gate import Sums, Terms, gate
from .triton_gate_backward import Gating, Normalising, by_source, by_target
from .triton_moments import merged, moments_of_rows
from .triton_norm import Norm, activated, parameter_gradients, row_gradients
from .triton_tiles import wide


class Done(NamedTuple):
    """Results of the forward pass: sums; m or the new edges; the edges' own statistics."""

    sums: Sums
    m: Tensor | None
    out: Tensor | None
    moments: Moments | None
    norm: Norm | None


def forward(plan: Plan, edge_attr: Tensor, terms: Terms, value: Tensor) -> Done:
    """The forward pass.

    With given statistics it is one pass over the edges; else a second one normalises them. m is
    written only where it is read again.
    """
    edges, dtype = plan.edges, wide(edge_attr, value)
    keep = plan.keep_m or plan.return_m
    m = terms.product(edge_attr)
    if plan.norm is None:
        sums, _ = gate(m, terms, value, edges, dtype, keep=keep)
        assert sums is not None
        return Done(sums, m if keep else None, None, None, None)
    out = torch.empty_like(m) if keep else m
    scale, shift, eps, given = plan.norm
    if given is not None:
        norm = Norm.of(*given, scale, shift, eps)
        sums, _ = gate(
            m, terms, value, edges, dtype, keep=keep, norm=norm, edge_attr=edge_attr, out=out
        )
        assert sums is not None
        return Done(sums, m if keep else None, out, None, norm)
    sums, partial = gate(m, terms, value, edges, dtype, keep=True, moments=True)
    assert sums is not None and partial is not None
    moments = merged(partial)
    norm = Norm.of(moments[0], moments[1], scale, shift, eps)
    activated(m, norm, edge_attr, out, dtype)
    return Done(sums, m if keep else None, out, moments, norm)


class GatedEdges(torch.autograd.Function):
    """Keeps the edges and, if the plan says so, m; computes gates and gathered rows again.

    Outputs: h; m, or the new edges, or nothing; then mean, variance and count of m where its own
    statistics were used.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        plan: Plan,
        scale: Tensor | None,
        shift: Tensor | None,
        edge_attr: Tensor,
        weight: Tensor,
        bias: Tensor,
        source_term: Tensor,
        target_term: Tensor,
        value: Tensor,
    ) -> tuple[Tensor | None, ...]:
        done = forward(plan, edge_attr, Terms(weight, bias, source_term, target_term), value)
        mean, var, count = done.moments or (None, None, None)
        ctx.plan = plan
        ctx.save_for_backward(
            *(edge_attr, weight, bias, source_term, target_term, value),
            *(*done.sums, done.m if plan.keep_m else None, count),
            *(done.norm[:4] if done.norm is not None else (None,) * 4),
        )
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(x for x in (mean, var, count) if x is not None))
        h = done.sums.h.to(value.dtype)
        return h, done.m if plan.return_m else done.out, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_out: Tensor | None, *_: Any) -> Any:
        edge_attr, weight, bias, a, b, value, h, gates, m, count, *norm = ctx.saved_tensors
        plan: Plan = ctx.plan
        edges, dtype = plan.edges, wide(edge_attr, value)
        if grad_h is None and grad_out is None:
            return (None,) * 9
        spare = m is None
        if m is None:
            terms = Terms(weight, bias, a, b)
            m = terms.product(edge_attr)
            gate(m, terms, None, edges, dtype, keep=True)
        grad = None if grad_out is None else grad_out.contiguous()
        normalising = None
        if plan.norm is not None and grad is not None:
            mean, var, scale, shift = norm
            values = Norm(mean, var, scale, shift, plan.norm.eps)
            sums = parameter_gradients(m, grad, values, dtype)
            normalising = Normalising(values, sums, count)
        gating = None
        if grad_h is not None:
            gating = Gating.of(value, grad_h.contiguous(), Sums(h, gates))
        grad_m, at_target = by_target(m, grad, gating, normalising, edges, dtype)
        at_source, of_value = by_source(m, grad_m, gating, edges, dtype)
        grad_edge = None
        if ctx.needs_input_grad[3]:
            # m is read no more, and where it was computed again it is nobody else's.
            room = m if spare else torch.empty_like(m)
            product = weight.to(grad_m.dtype)
            if normalising is None or grad is None:
                grad_edge = torch.mm(grad_m, product, out=room)
            else:
                # The residual connection adds the gradient of the new edges.
                grad_edge = torch.addmm(grad, grad_m, product, out=room)
        of_norm: tuple[Tensor | None, ...] = (None, None)
        if normalising is not None:
            of_norm = tuple(x.to(scale.dtype) for x in normalising.sums)
        return (
            None,
            *of_norm,
            grad_edge,
            (grad_m.t() @ edge_attr).to(weight.dtype) if ctx.needs_input_grad[4] else None,
            at_target.sum(0).to(bias.dtype),
            at_source.to(a.dtype),
            at_target.to(b.dtype),
            of_value.to(value.dtype),
        )


class NormSiLU(torch.autograd.Function):
    """Keeps only ``x`` and the statistics for the backward pass."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        weight: Tensor | None,
        residual: Tensor | None,
        given: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, ...]:
        dtype = wide(x)
        weight = None if weight is None else weight.to(dtype)
        moments: tuple[Tensor, ...] = ()
        if given is None:
            moments = merged(moments_of_rows(x, weight, dtype))
        mean, var = given or moments[:2]
        norm = Norm.of(mean, var, scale, shift, eps)
        out = activated(x, norm, residual, torch.empty_like(x), dtype)
        ctx.eps = eps
        ctx.residual = None if residual is None else residual.dtype
        ctx.save_for_backward(x, weight, *norm[:4], *moments[2:])
        ctx.mark_non_differentiable(*moments)
        return out, *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, mean, var, scale, shift, *count = ctx.saved_tensors
        norm = Norm(mean, var, scale, shift, ctx.eps)
        grad = grad_out.contiguous()
        sums = parameter_gradients(x, grad, norm, wide(x))
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = row_gradients(x, grad, norm, weight, sums, count[0] if count else None)
        of_scale, of_shift = sums.to(scale.dtype)
        residual = None if ctx.residual is None else grad_out.to(ctx.residual)
        return grad_x, of_scale, of_shift, None, None, residual, None
