"""Normalise, activate, add: rows of a matrix, forward and backward."""

# No postponed annotations: Triton must see tl.constexpr itself.
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .triton_tiles import PLAIN_ROWS, ROWS, TRITON_TYPE, columns, load_weight, shared_out, tiles


class Norm(NamedTuple):
    """What normalises a row.

    Attributes:
        mean: ``[C]``.
        var: ``[C]``.
        scale: ``[C]`` gamma.
        shift: ``[C]`` beta.
        eps: added to the variance.
    """

    mean: Tensor
    var: Tensor
    scale: Tensor
    shift: Tensor
    eps: float

    @classmethod
    def of(cls, mean: Tensor, var: Tensor, scale: Tensor, shift: Tensor, eps: float) -> "Norm":
        """Kernels want numbers that lie side by side."""
        mean, var, scale, shift = (x.contiguous() for x in (mean, var, scale, shift))
        return cls(mean, var, scale, shift, eps)


def activated(
    x: Tensor, norm: Norm, residual: Tensor | None, out: Tensor, dtype: torch.dtype
) -> Tensor:
    """``residual + SiLU(normalised x)`` ``[R, C]``; ``out`` may be ``x`` or ``residual``."""
    rows, channels = x.shape
    if rows:
        _forward_kernel[(-(-rows // PLAIN_ROWS), tiles(channels))](
            x,
            residual,
            *norm[:4],
            out,
            rows,
            eps=norm.eps,
            C=channels,
            ROWS=PLAIN_ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return out


def parameter_gradients(x: Tensor, grad: Tensor, norm: Norm, dtype: torch.dtype) -> Tensor:
    """Gradients of scale and shift ``[2, C]``, which the gradient of every row needs."""
    rows, channels = x.shape
    programs, each = shared_out(rows)
    partial = x.new_empty(programs, 2, channels, dtype=dtype)
    if programs:
        _sums_kernel[(programs, tiles(channels))](
            x,
            grad,
            *norm[:4],
            partial,
            rows,
            each,
            eps=norm.eps,
            C=channels,
            ROWS=ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return partial.sum(0)


def row_gradients(
    x: Tensor,
    grad: Tensor,
    norm: Norm,
    weight: Tensor | None,
    sums: Tensor,
    count: Tensor | None,
) -> Tensor:
    """Gradient of ``[R, C]`` x; ``count`` is None where the statistics were given."""
    rows, channels = x.shape
    out = torch.empty_like(x)
    if rows:
        _backward_kernel[(-(-rows // PLAIN_ROWS), tiles(channels))](
            x,
            grad,
            *norm[:4],
            weight,
            sums,
            count,
            out,
            rows,
            eps=norm.eps,
            C=channels,
            ROWS=PLAIN_ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[sums.dtype],
        )
    return out


@triton.jit
def sigmoid(x: tl.tensor) -> tl.tensor:
    """Finite for every x: exp overflows to infinity, whose inverse is 0."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def load_norm(
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    cols: tl.tensor,
    inside: tl.tensor,
    eps: tl.constexpr,
    WIDE: tl.constexpr,
) -> tl.tensor:
    """Mean, 1 / standard deviation, gamma and beta of a tile's columns."""
    mu = tl.load(mean + cols, mask=inside, other=0.0).to(WIDE)
    rstd = 1.0 / tl.sqrt(tl.load(var + cols, mask=inside, other=1.0).to(WIDE) + eps)
    gamma = tl.load(scale + cols, mask=inside, other=0.0).to(WIDE)
    beta = tl.load(shift + cols, mask=inside, other=0.0).to(WIDE)
    return mu, rstd, gamma, beta


@triton.jit
def normed_silu(
    x: tl.tensor, mu: tl.tensor, rstd: tl.tensor, gamma: tl.tensor, beta: tl.tensor
) -> tl.tensor:
    """SiLU of the normalised rows ``[ROWS, COLS]``."""
    u = (x - mu[None, :]) * (rstd * gamma)[None, :] + beta[None, :]
    return u * sigmoid(u)


@triton.jit
def through_silu(
    x: tl.tensor, grad: tl.tensor, mu: tl.tensor, rstd: tl.tensor, gamma: tl.tensor, beta: tl.tensor
) -> tl.tensor:
    """Rows in units of their standard deviation, and the gradient before the SiLU."""
    unit = (x - mu[None, :]) * rstd[None, :]
    u = unit * gamma[None, :] + beta[None, :]
    gate = sigmoid(u)
    return unit, grad * gate * (1.0 + u * (1.0 - gate))


@triton.jit
def load_shares(
    sums: tl.tensor,
    count: tl.tensor,
    cols: tl.tensor,
    inside: tl.tensor,
    C: tl.constexpr,
    WIDE: tl.constexpr,
) -> tl.tensor:
    """The share of gamma's and beta's gradients that a row of weight 1 bears."""
    n = tl.load(count).to(WIDE)
    # Where nothing counts, no row has a weight to bear anything with.
    share = 1.0 / tl.where(n > 0, n, 1.0)
    of_scale = tl.load(sums + cols, mask=inside, other=0.0).to(WIDE) * share
    of_shift = tl.load(sums + C + cols, mask=inside, other=0.0).to(WIDE) * share
    return of_scale, of_shift


@triton.jit(do_not_specialize=["rows"])
def _forward_kernel(
    x: tl.tensor,
    residual: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    eps: tl.constexpr,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    cols = (tl.program_id(1) * COLS + tl.arange(0, COLS)).to(tl.int64)
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = cols < C
    both = (row < rows)[:, None] & inside[None, :]
    at = row[:, None] * C + cols[None, :]
    mu, rstd, gamma, beta = load_norm(mean, var, scale, shift, cols, inside, eps, WIDE)
    value = tl.load(x + at, mask=both, other=0.0).to(WIDE)
    value = normed_silu(value, mu, rstd, gamma, beta)
    if residual is not None:
        value += tl.load(residual + at, mask=both, other=0.0).to(WIDE)
    tl.store(out + at, value, mask=both)


@triton.jit(do_not_specialize=["rows", "each"])
def _sums_kernel(
    x: tl.tensor,
    grad: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    partial: tl.tensor,
    rows: tl.tensor,
    each: tl.tensor,
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
    last = tl.minimum(first + each, rows)
    mu, rstd, gamma, beta = load_norm(mean, var, scale, shift, cols, inside, eps, WIDE)
    of_scale = tl.full((ROWS, COLS), 0.0, WIDE)
    of_shift = tl.full((ROWS, COLS), 0.0, WIDE)
    for start in range(first, last, ROWS):
        row = start + slot
        both = (row < last)[:, None] & inside[None, :]
        at = row[:, None] * C + cols[None, :]
        value = tl.load(x + at, mask=both, other=0.0).to(WIDE)
        arriving = tl.load(grad + at, mask=both, other=0.0).to(WIDE)
        unit, before = through_silu(value, arriving, mu, rstd, gamma, beta)
        of_scale += unit * before
        of_shift += before
    here = partial + program * 2 * C + cols
    tl.store(here, tl.sum(of_scale, axis=0), mask=inside)
    tl.store(here + C, tl.sum(of_shift, axis=0), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def _backward_kernel(
    x: tl.tensor,
    grad: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    weight: tl.tensor,
    sums: tl.tensor,
    count: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    eps: tl.constexpr,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    cols = (tl.program_id(1) * COLS + tl.arange(0, COLS)).to(tl.int64)
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = cols < C
    live = row < rows
    both = live[:, None] & inside[None, :]
    at = row[:, None] * C + cols[None, :]
    mu, rstd, gamma, beta = load_norm(mean, var, scale, shift, cols, inside, eps, WIDE)
    value = tl.load(x + at, mask=both, other=0.0).to(WIDE)
    arriving = tl.load(grad + at, mask=both, other=0.0).to(WIDE)
    unit, before = through_silu(value, arriving, mu, rstd, gamma, beta)
    if count is not None:
        of_scale, of_shift = load_shares(sums, count, cols, inside, C, WIDE)
        part = unit * of_scale[None, :] + of_shift[None, :]
        if weight is not None:
            part *= load_weight(weight, row, live, WIDE)[:, None]
        before -= part
    tl.store(out + at, before * (rstd * gamma)[None, :], mask=both)
