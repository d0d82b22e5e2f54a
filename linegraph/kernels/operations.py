"""The operations as layers call them: checked, cast, and handed to a back end."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .backend import BatchNorm, EdgeUpdate, Gate
from .choice import backend_for
from .edges import Edges


def edge_gate(
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
    edges: Edges,
) -> tuple[Tensor, Tensor]:
    r"""Gate every edge, and sum what passes at its target.

    .. math::
        m_e &= C y_e + a_{s(e)} + b_{t(e)} \\
        h_t &= \frac{\sum_{e \to t} w_e \sigma(m_e) v_{s(e)}}
                    {\sum_{e \to t} w_e \sigma(m_e) + 10^{-6}}

    Args:
        edge_attr: ``[E, C]`` y.
        weight: ``[C, C]`` and bias ``[C]`` of the linear map of y.
        bias: see ``weight``.
        source_term: ``[N, C]`` a, added where the edge starts.
        target_term: ``[N, C]`` b, added where the edge ends.
        value: ``[N, C]`` v, what is sent along the edge.
        edges: source and target of every edge, and its weight w.

    Returns:
        h ``[N, C]`` (0 for a node without incoming edges) and m ``[E, C]``.

    Raises:
        RuntimeError: a second derivative is asked for, and the back end is not ``reference``.

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), eq. 2-4, after Bresson and
    Laurent, arXiv:1711.07553.
    """
    gate = _stored_gate(edge_attr, weight, bias, source_term, target_term, value)
    with _full_precision(edge_attr):
        return backend_for(edge_attr.device).edge_gate(gate, edges)


def norm_silu(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None = None,
    residual: Tensor | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Weighted batch normalisation, SiLU, and the residual connection.

    .. math::
        n &= \sum_i w_i, \quad \mu = \frac{1}{n}\sum_i w_i x_i, \quad
        \sigma^2 = \frac{1}{n}\sum_i w_i (x_i - \mu)^2 \\
        o_i &= r_i + \mathrm{SiLU}\Bigl(\gamma\frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}
        + \beta\Bigr)

    A row of weight w normalises like w equal rows (Ioffe and Szegedy, arXiv:1502.03167).

    Args:
        x: ``[R, C]``.
        scale: ``[C]`` gamma.
        shift: ``[C]`` beta.
        eps: added to the variance.
        row_weight: ``[R]`` w; 1 each if None. Not differentiated.
        residual: ``[R, C]`` r; 0 if None.
        statistics: mean and variance ``[C]`` to normalise by instead of the batch's.

    Returns:
        o ``[R, C]``, and the mean ``[C]``, biased variance ``[C]`` and n (scalar) used; without
        gradient. With no rows, or rows of no weight, the batch's mean is 0 and its variance 1.

    Raises:
        RuntimeError: a second derivative is asked for, and the back end is not ``reference``.
    """
    with _full_precision(x):
        return backend_for(x.device).norm_silu(
            x, BatchNorm(scale, shift, eps, statistics), row_weight, residual
        )


def linear_norm_silu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    row_weight: Tensor | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`norm_silu` of ``x W^T + b``, whose product need not be kept.

    Args:
        x: ``[R, D]``.
        weight: ``[C, D]`` W.
        bias: ``[C]`` b.
        scale: this and the rest as in :func:`norm_silu`.
        shift: see there.
        eps: see there.
        row_weight: see there.
        statistics: see there.

    Returns:
        as :func:`norm_silu`.

    Raises:
        RuntimeError: a second derivative is asked for, and the back end is not ``reference``.
    """
    stored, norm = _stored(x), BatchNorm(scale, shift, eps, statistics)
    with _full_precision(x):
        return backend_for(x.device).linear_norm_silu(
            stored(x), stored(weight), stored(bias), norm, row_weight
        )


def edge_update(
    edge_attr: Tensor,
    weight: Tensor,
    bias: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    value: Tensor,
    edges: Edges,
    norm: BatchNorm | None,
    *,
    recompute: bool = False,
) -> EdgeUpdate:
    """:func:`edge_gate`, then :func:`norm_silu` of m with the edges as residual.

    Where a back end can, both happen in one pass, and m is never stored where nobody needs it.

    Args:
        edge_attr: this and the next five as in :func:`edge_gate`.
        weight: see there.
        bias: see there.
        source_term: see there.
        target_term: see there.
        value: see there.
        edges: with ``count`` as weights of the statistics.
        norm: how m becomes the new edges; None where they are not wanted.
        recompute: compute m again in the backward pass instead of keeping it: half the memory for
            a third more work. A back end that cannot ignores it.

    Returns:
        h ``[N, C]``, the new edges ``[E, C]``, and the statistics of m if those were used.

    Raises:
        RuntimeError: a second derivative is asked for, and the back end is not ``reference``.
    """
    gate = _stored_gate(edge_attr, weight, bias, source_term, target_term, value)
    with _full_precision(edge_attr):
        return backend_for(edge_attr.device).edge_update(gate, edges, norm, recompute=recompute)


def _stored_gate(*operands: Tensor) -> Gate:
    stored = _stored(operands[0])
    return Gate(*(stored(x) for x in operands))


def _stored(like: Tensor) -> Callable[[Tensor], Tensor]:
    """Brings inputs to the type automatic mixed precision stores them in, where it is on."""
    device = like.device.type
    if not torch.is_autocast_enabled(device):
        return lambda x: x
    dtype = torch.get_autocast_dtype(device)
    return lambda x: x.to(dtype)


def _full_precision(like: Tensor) -> torch.autocast:
    """Back ends say themselves what they store and what they sum in."""
    return torch.autocast(like.device.type, enabled=False)
