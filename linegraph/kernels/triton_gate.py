"""Gate every edge and sum what passes, by target: one pass over the edges."""

# No postponed annotations: Triton must see tl.constexpr itself.
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .backend import EPS
from .edges import Edges
from .triton_moments import Partial, add_row, merge_slots
from .triton_norm import Norm, load_norm, normed_silu, sigmoid
from .triton_tiles import (
    ROWS,
    TRITON_TYPE,
    columns,
    load_edge,
    load_weight,
    shared_out,
    tiles,
)


class Terms(NamedTuple):
    """What m is made of beside the edges: ``m = y W^T + bias + a[source] + b[target]``.

    Attributes:
        weight: ``[C, C]`` W.
        bias: ``[C]``.
        source: ``[N, C]`` a.
        target: ``[N, C]`` b.
    """

    weight: Tensor
    bias: Tensor
    source: Tensor
    target: Tensor

    def product(self, edge_attr: Tensor) -> Tensor:
        """``y W^T`` ``[E, C]``, which :func:`gate` turns into m."""
        return edge_attr @ self.weight.to(edge_attr.dtype).t()


class Sums(NamedTuple):
    """Sums at the nodes.

    Attributes:
        h: ``[N, C]``.
        gates: ``[N, C]`` sum of gates plus EPS, which h was divided by.
    """

    h: Tensor
    gates: Tensor


def gate(
    product: Tensor,
    terms: Terms,
    value: Tensor | None,
    edges: Edges,
    dtype: torch.dtype,
    *,
    keep: bool,
    moments: bool = False,
    norm: Norm | None = None,
    edge_attr: Tensor | None = None,
    out: Tensor | None = None,
) -> tuple[Sums | None, Partial | None]:
    """One pass over the edges, which may do any of four things at once.

    Args:
        product: ``[E, C]`` from :meth:`Terms.product`.
        terms: the other terms of m.
        value: ``[N, C]`` v; without it nothing is summed.
        edges: the edges.
        dtype: type to compute in.
        keep: write m over ``product``.
        moments: find the moments of m.
        norm: with ``edge_attr`` and ``out``: write the new edges ``[E, C]`` to ``out``, which may
            be ``product`` (unless m is kept there) or ``edge_attr``.
        edge_attr: see ``norm``.
        out: see ``norm``.
    """
    nodes, channels = edges.num_nodes, product.size(1)
    programs, each = shared_out(nodes)
    sums = partial = None
    if value is not None:
        sums = Sums(*(product.new_empty(nodes, channels, dtype=dtype) for _ in range(2)))
    if moments:
        partial = Partial.empty(programs, channels, product, dtype)
    order, ptr = edges.by_target
    if programs:
        _gate_kernel[(programs, tiles(channels))](
            product,
            terms.bias,
            terms.source,
            terms.target,
            value,
            edges.index.contiguous(),
            order,
            ptr,
            *weights(edges, dtype),
            *(sums or (None, None)),
            *(partial or (None, None, None)),
            *(norm[:4] if norm is not None else (None,) * 4),
            edge_attr,
            out,
            nodes,
            each,
            KEEP=keep,
            EPS=EPS,
            eps=0.0 if norm is None else norm.eps,
            C=channels,
            ROWS=ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return sums, partial


def weights(edges: Edges, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """Weights and counts ``[E]`` of edges as kernels read them."""
    found = edges.weight_as(dtype), edges.count_as(dtype)
    weight, count = (None if x is None else x.contiguous() for x in found)
    return weight, count


@triton.jit(do_not_specialize=["nodes", "each"])
def _gate_kernel(
    product: tl.tensor,
    bias: tl.tensor,
    source_term: tl.tensor,
    target_term: tl.tensor,
    value: tl.tensor,
    index: tl.tensor,
    order: tl.tensor,
    ptr: tl.tensor,
    weight: tl.tensor,
    count: tl.tensor,
    h: tl.tensor,
    gates: tl.tensor,
    part_count: tl.tensor,
    part_mean: tl.tensor,
    part_square: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    edge_attr: tl.tensor,
    out: tl.tensor,
    nodes: tl.tensor,
    each: tl.tensor,
    KEEP: tl.constexpr,
    EPS: tl.constexpr,
    eps: tl.constexpr,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    cols = (tl.program_id(1) * COLS + tl.arange(0, COLS)).to(tl.int64)
    slot = tl.arange(0, ROWS).to(tl.int64)
    inside = cols < C
    first = program * each
    last = tl.minimum(first + each, nodes)
    constant = tl.load(bias + cols, mask=inside, other=0.0).to(WIDE)
    if part_count is not None:
        seen = tl.full((ROWS,), 0.0, WIDE)
        middle = tl.full((ROWS, COLS), 0.0, WIDE)
        square = tl.full((ROWS, COLS), 0.0, WIDE)
    if out is not None:
        mu, rstd, gamma, beta = load_norm(mean, var, scale, shift, cols, inside, eps, WIDE)
    for node in range(first, last):
        here = node * C + cols
        arriving = tl.load(target_term + here, mask=inside, other=0.0).to(WIDE) + constant
        begin = tl.load(ptr + node)
        end = tl.load(ptr + node + 1)
        if value is not None:
            passed = tl.full((ROWS, COLS), 0.0, WIDE)
            opened = tl.full((ROWS, COLS), 0.0, WIDE)
        for start in range(begin, end, ROWS):
            place = start + slot
            live = place < end
            both = live[:, None] & inside[None, :]
            edge = load_edge(order, place, live)
            source = tl.load(index + edge, mask=live, other=0).to(tl.int64)
            at = edge[:, None] * C + cols[None, :]
            from_source = source[:, None] * C + cols[None, :]
            m = tl.load(product + at, mask=both, other=0.0).to(WIDE) + arriving[None, :]
            m += tl.load(source_term + from_source, mask=both, other=0.0).to(WIDE)
            # As it is stored, so that the backward pass sees the same numbers.
            m = m.to(product.dtype.element_ty)
            if KEEP:
                tl.store(product + at, m, mask=both)
            m = m.to(WIDE)
            if value is not None:
                opening = sigmoid(m)
                w = load_weight(weight, edge, live, WIDE)
                opening *= w[:, None]
                opened += opening
                passed += opening * tl.load(value + from_source, mask=both, other=0.0).to(WIDE)
            if part_count is not None:
                c = load_weight(count, edge, live, WIDE)
                seen, middle, square = add_row(seen, middle, square, c, m)
            if out is not None:
                old = tl.load(edge_attr + at, mask=both, other=0.0).to(WIDE)
                tl.store(out + at, old + normed_silu(m, mu, rstd, gamma, beta), mask=both)
        if value is not None:
            divisor = tl.sum(opened, axis=0) + EPS
            tl.store(gates + here, divisor, mask=inside)
            tl.store(h + here, tl.sum(passed, axis=0) / divisor, mask=inside)
    if part_count is not None:
        n, mid, spread = merge_slots(seen, middle, square)
        tl.store(part_count + program, n, mask=tl.program_id(1) == 0)
        tl.store(part_mean + program * C + cols, mid, mask=inside)
        tl.store(part_square + program * C + cols, spread, mask=inside)
