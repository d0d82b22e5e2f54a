"""The gradient of gating and summing: one pass by target, one by source, no atomics."""

# No postponed annotations: Triton must see tl.constexpr itself.
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .edges import Edges
from .triton_gate import Sums, weights
from .triton_norm import Norm, load_norm, load_shares, sigmoid, through_silu
from .triton_tiles import (
    ROWS,
    TRITON_TYPE,
    columns,
    load_edge,
    load_weight,
    shared_out,
    tiles,
)


class Gating(NamedTuple):
    """What the gradient of h needs.

    Attributes:
        value: ``[N, C]`` v.
        grad: ``[N, C]`` gradient of h over the sum of gates: what arrives at every edge.
        drop: ``[N, C]`` the same times h: what is lost by a wider gate.
    """

    value: Tensor
    grad: Tensor
    drop: Tensor

    @classmethod
    def of(cls, value: Tensor, grad_h: Tensor, sums: Sums) -> "Gating":
        """From the gradient of h ``[N, C]``."""
        grad = grad_h.to(sums.h.dtype) / sums.gates
        return cls(value, grad, grad * sums.h)


class Normalising(NamedTuple):
    """What the gradient of the new edges needs.

    Attributes:
        norm: the normalisation.
        sums: ``[2, C]`` gradients of scale and shift.
        total: weight of all edges if the statistics were their own, else None.
    """

    norm: Norm
    sums: Tensor
    total: Tensor | None


def by_target(
    m: Tensor,
    grad: Tensor | None,
    gating: Gating | None,
    normalising: Normalising | None,
    edges: Edges,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Gradient of m ``[E, C]`` (as m is stored), and its sum at every target ``[N, C]``.

    ``grad`` is the gradient of the new edges if they were normalised, else of m itself.
    """
    nodes, channels = edges.num_nodes, m.size(1)
    programs, each = shared_out(nodes)
    grad_m, at_target = torch.empty_like(m), m.new_empty(nodes, channels, dtype=dtype)
    order, ptr = edges.by_target
    norm = None if normalising is None else normalising.norm
    if programs:
        _target_kernel[(programs, tiles(channels))](
            m,
            grad,
            *(gating or (None, None, None)),
            *(norm[:4] if norm is not None else (None,) * 4),
            *(normalising[1:] if normalising is not None else (None, None)),
            edges.index.contiguous(),
            order,
            ptr,
            *weights(edges, dtype),
            grad_m,
            at_target,
            nodes,
            each,
            eps=0.0 if norm is None else norm.eps,
            C=channels,
            ROWS=ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return grad_m, at_target


def by_source(
    m: Tensor, grad_m: Tensor, gating: Gating | None, edges: Edges, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Sum of the gradient of m at every source, and the gradient of v, both ``[N, C]``."""
    nodes, channels = edges.num_nodes, m.size(1)
    programs, each = shared_out(nodes)
    at_source, of_value = (m.new_empty(nodes, channels, dtype=dtype) for _ in range(2))
    order, ptr = edges.by_source
    if programs:
        _source_kernel[(programs, tiles(channels))](
            m,
            grad_m,
            None if gating is None else gating.grad,
            edges.index.contiguous(),
            order,
            ptr,
            weights(edges, dtype)[0],
            at_source,
            of_value,
            nodes,
            m.size(0),
            each,
            C=channels,
            ROWS=ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return at_source, of_value


@triton.jit(do_not_specialize=["nodes", "each"])
def _target_kernel(
    stored: tl.tensor,
    grad: tl.tensor,
    value: tl.tensor,
    grad_total: tl.tensor,
    drop: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    sums: tl.tensor,
    all_count: tl.tensor,
    index: tl.tensor,
    order: tl.tensor,
    ptr: tl.tensor,
    weight: tl.tensor,
    count: tl.tensor,
    grad_m: tl.tensor,
    at_target: tl.tensor,
    nodes: tl.tensor,
    each: tl.tensor,
    eps: tl.constexpr,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    cols = (tl.program_id(1) * COLS + tl.arange(0, COLS)).to(tl.int64)
    slot = tl.arange(0, ROWS).to(tl.int64)
    inside = cols < C
    first = tl.program_id(0).to(tl.int64) * each
    last = tl.minimum(first + each, nodes)
    if mean is not None:
        mu, rstd, gamma, beta = load_norm(mean, var, scale, shift, cols, inside, eps, WIDE)
    if all_count is not None:
        of_scale, of_shift = load_shares(sums, all_count, cols, inside, C, WIDE)
    for node in range(first, last):
        here = node * C + cols
        begin = tl.load(ptr + node)
        end = tl.load(ptr + node + 1)
        if value is not None:
            arriving = tl.load(grad_total + here, mask=inside, other=0.0).to(WIDE)
            lost = tl.load(drop + here, mask=inside, other=0.0).to(WIDE)
        total = tl.full((ROWS, COLS), 0.0, WIDE)
        for start in range(begin, end, ROWS):
            place = start + slot
            live = place < end
            both = live[:, None] & inside[None, :]
            edge = load_edge(order, place, live)
            at = edge[:, None] * C + cols[None, :]
            m = tl.load(stored + at, mask=both, other=0.0).to(WIDE)
            found = tl.full((ROWS, COLS), 0.0, WIDE)
            if value is not None:
                source = tl.load(index + edge, mask=live, other=0).to(tl.int64)
                from_source = source[:, None] * C + cols[None, :]
                v = tl.load(value + from_source, mask=both, other=0.0).to(WIDE)
                w = load_weight(weight, edge, live, WIDE)
                opening = sigmoid(m)
                slope = opening * (1.0 - opening) * w[:, None]
                found += slope * (arriving[None, :] * v - lost[None, :])
            if grad is not None:
                given = tl.load(grad + at, mask=both, other=0.0).to(WIDE)
                if mean is not None:
                    unit, before = through_silu(m, given, mu, rstd, gamma, beta)
                    if all_count is not None:
                        c = load_weight(count, edge, live, WIDE)
                        before -= c[:, None] * (unit * of_scale[None, :] + of_shift[None, :])
                    found += before * (rstd * gamma)[None, :]
                else:
                    found += given
            tl.store(grad_m + at, found, mask=both)
            total += found
        tl.store(at_target + here, tl.sum(total, axis=0), mask=inside)


@triton.jit(do_not_specialize=["nodes", "num_edges", "each"])
def _source_kernel(
    stored: tl.tensor,
    grad_m: tl.tensor,
    grad_total: tl.tensor,
    index: tl.tensor,
    order: tl.tensor,
    ptr: tl.tensor,
    weight: tl.tensor,
    at_source: tl.tensor,
    of_value: tl.tensor,
    nodes: tl.tensor,
    num_edges: tl.tensor,
    each: tl.tensor,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    cols = (tl.program_id(1) * COLS + tl.arange(0, COLS)).to(tl.int64)
    slot = tl.arange(0, ROWS).to(tl.int64)
    inside = cols < C
    first = tl.program_id(0).to(tl.int64) * each
    last = tl.minimum(first + each, nodes)
    for node in range(first, last):
        here = node * C + cols
        begin = tl.load(ptr + node)
        end = tl.load(ptr + node + 1)
        total = tl.full((ROWS, COLS), 0.0, WIDE)
        sent = tl.full((ROWS, COLS), 0.0, WIDE)
        for start in range(begin, end, ROWS):
            place = start + slot
            live = place < end
            both = live[:, None] & inside[None, :]
            edge = load_edge(order, place, live)
            at = edge[:, None] * C + cols[None, :]
            total += tl.load(grad_m + at, mask=both, other=0.0).to(WIDE)
            if grad_total is not None:
                target = tl.load(index + num_edges + edge, mask=live, other=0).to(tl.int64)
                m = tl.load(stored + at, mask=both, other=0.0).to(WIDE)
                w = load_weight(weight, edge, live, WIDE)
                to_target = target[:, None] * C + cols[None, :]
                arriving = tl.load(grad_total + to_target, mask=both, other=0.0).to(WIDE)
                sent += sigmoid(m) * w[:, None] * arriving
        tl.store(at_source + here, tl.sum(total, axis=0), mask=inside)
        tl.store(of_value + here, tl.sum(sent, axis=0), mask=inside)
