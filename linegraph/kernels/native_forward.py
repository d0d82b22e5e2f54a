"""Gate, sum and renew edges, block by block: where a triplet (or a bond) becomes a message."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .backend import EPS, BatchNorm, Moments
from .blocks import Scratch, add_at, in_blocks, row_blocks, wide
from .moments import RunningMoments
from .normalise import Affine
from .plan import Plan


class Terms(NamedTuple):
    """What m is made of: ``m = y W^T + a[source] + b[target]``, the bias within b."""

    edge_attr: Tensor
    weight: Tensor
    source: Tensor
    target: Tensor

    def m(self, rows: slice, s: Tensor, t: Tensor, scratch: Scratch) -> Tensor:
        """m of one block of edges ``[R, C]``."""
        block = torch.index_select(self.source, 0, s, out=scratch("m", rows))
        block += torch.index_select(self.target, 0, t, out=scratch("gathered", rows))
        if block.dtype == self.edge_attr.dtype:
            # Accumulating in the product saves a pass over the block.
            return block.addmm_(self.edge_attr[rows], self.weight.t())
        return block.add_(self.edge_attr[rows] @ self.weight.t())


class Gated(NamedTuple):
    """Results of the forward pass, and what the backward pass needs of it.

    Attributes:
        h: sums of gated messages ``[N, C]``.
        m: gates before the sigmoid ``[E, C]``, where somebody needs them again.
        out: new features of the edges ``[E, C]``, where they are wanted.
        moments: batch statistics of m, where they were not given.
        terms: what m is made of.
        value: messages by source ``[N, C]``.
        sums: of the gates at each target, and a little ``[N, C]``.
        affine: the normalisation of m.
    """

    h: Tensor
    m: Tensor | None
    out: Tensor | None
    moments: Moments | None
    terms: Terms
    value: Tensor
    sums: Tensor
    affine: Affine | None


def gated(
    plan: Plan,
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
) -> Gated:
    r"""The forward pass: gates, what passes them, and new features of the edges.

    .. math::
        m_{st} &= W y_{st} + b + a_s + b_t, \quad
        h_t = \sum_{s \to t} w_{st} \, \sigma(m_{st}) \odot v_s
              \Big/ \Big(\sum_{s \to t} w_{st} \, \sigma(m_{st}) + \epsilon\Big) \\
        y'_{st} &= y_{st} + \mathrm{SiLU}(\mathrm{BN}(m_{st}))

    In evaluation mode one pass over the edges does everything; batch statistics take a second one.

    Args:
        plan: the edges with their weights w, and what is wanted of them.
        edge_attr: y ``[E, C]``.
        weight: W ``[C, C]``.
        bias: b ``[C]``.
        source_term: a ``[N, C]``.
        target_term: b_t ``[N, C]``.
        value: v ``[N, C]``.

    Source: :class:`linegraph.nn.EdgeGatedConv`.
    """
    edges, norm = plan.edges, plan.norm
    kind, channels = wide(edge_attr.dtype), weight.size(0)
    source, target = edges.index
    a, b, value = source_term.to(kind), (target_term + bias).to(kind), value.to(kind)
    terms = Terms(edge_attr, weight.to(edge_attr.dtype), a, b)
    copies, counts = edges.weight_as(kind), edges.count_as(kind)
    running = affine = out = None
    if norm is not None:
        out = torch.empty_like(edge_attr)
        if norm.statistics is None:
            running = RunningMoments(norm.scale.to(kind))
        else:
            affine = _affine(norm, *norm.statistics, kind)
    # Whoever needs m once more after this pass has to keep it.
    whole = plan.return_m or plan.keep_m or running is not None
    m = edge_attr.new_empty(edge_attr.size(0), channels) if whole else None
    total, sums = torch.zeros_like(value), torch.zeros_like(value)
    by_target = None if in_blocks(edge_attr.device) else edges.by_target
    scratch = Scratch(edge_attr, channels, kind)
    for rows in row_blocks(edge_attr, channels):
        s, t = source[rows], target[rows]
        block = terms.m(rows, s, t, scratch)
        gate = torch.sigmoid(block, out=scratch("gate", rows))
        if copies is not None:
            gate *= copies[rows, None]
        add_at(sums, t, gate, by_target)
        gate *= torch.index_select(value, 0, s, out=scratch("gathered", rows))
        add_at(total, t, gate, by_target)
        if m is not None:
            m[rows] = block
        if running is not None:
            running.add(block, None if counts is None else counts[rows], gate)
        if affine is not None and out is not None:
            torch.add(affine.activated(block, block), edge_attr[rows], out=out[rows])
    sums += EPS
    moments = None if running is None else running.result()
    if moments is not None and norm is not None and m is not None and out is not None:
        affine = _affine(norm, moments[0], moments[1], kind)
        for rows in row_blocks(edge_attr, channels):
            block = affine.activated(m[rows].to(kind), scratch("gate", rows))
            torch.add(block, edge_attr[rows], out=out[rows])
    return Gated(total.div_(sums), m, out, moments, terms, value, sums, affine)


def _affine(norm: BatchNorm, mean: Tensor, var: Tensor, kind: torch.dtype) -> Affine:
    return Affine.of(mean, var, norm.scale.to(kind), norm.shift.to(kind), norm.eps)
