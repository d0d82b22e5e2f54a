"""Weighted mean and variance of every column, without losing digits and without atomics.

Every row of a tile keeps moments of its own (Welford 1962, with weights: West 1979); they are
merged at the end (Chan, Golub and LeVeque 1983), first within a program, then over programs.
"""

# No postponed annotations: Triton must see tl.constexpr itself.
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .triton_tiles import ROWS, TRITON_TYPE, columns, load_weight, shared_out, tiles

#: Partial moments that are merged at once, and columns.
_SLOTS, _COLUMNS = 64, 16


class Partial(NamedTuple):
    """Moments of what each of P programs saw.

    Attributes:
        total: ``[P]`` sum of weights.
        mean: ``[P, C]``.
        square: ``[P, C]`` weighted sum of squared distances from the mean.
    """

    total: Tensor
    mean: Tensor
    square: Tensor

    @classmethod
    def empty(cls, programs: int, channels: int, like: Tensor, dtype: torch.dtype) -> "Partial":
        """Room for the moments that P programs write, on the device of a tensor."""
        rows = (programs,), (programs, channels), (programs, channels)
        return cls(*(like.new_empty(shape, dtype=dtype) for shape in rows))


def moments_of_rows(x: Tensor, weight: Tensor | None, dtype: torch.dtype) -> Partial:
    """Partial moments of ``[R, C]``, rows weighted by ``[R]``."""
    rows, channels = x.shape
    programs, each = shared_out(rows)
    partial = Partial.empty(programs, channels, x, dtype)
    if programs:
        _rows_kernel[(programs, tiles(channels))](
            x,
            weight,
            *partial,
            rows,
            each,
            C=channels,
            ROWS=ROWS,
            COLS=columns(channels),
            WIDE=TRITON_TYPE[dtype],
        )
    return partial


def merged(partial: Partial) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``[C]``, biased variance ``[C]`` and sum of weights (scalar).

    Where nothing counts, the mean is 0 and the variance 1. Never waits for the device.
    """
    programs, channels = partial.mean.shape
    mean, var = (partial.mean.new_empty(channels) for _ in range(2))
    count = partial.mean.new_empty(())
    _merge_kernel[(-(-channels // _COLUMNS),)](
        *partial,
        mean,
        var,
        count,
        programs,
        C=channels,
        ROWS=_SLOTS,
        COLS=_COLUMNS,
        WIDE=TRITON_TYPE[mean.dtype],
    )
    return mean, var, count


@triton.jit
def add_row(
    seen: tl.tensor, mean: tl.tensor, square: tl.tensor, c: tl.tensor, x: tl.tensor
) -> tl.tensor:
    """One more row ``x [ROWS, COLS]`` of weight ``c [ROWS]`` for every slot."""
    seen += c
    delta = x - mean
    # A slot that has seen no weight yet stays at 0.
    mean += (c / tl.where(seen > 0, seen, 1.0))[:, None] * delta
    square += c[:, None] * delta * (x - mean)
    return seen, mean, square


@triton.jit
def merge_slots(seen: tl.tensor, mean: tl.tensor, square: tl.tensor) -> tl.tensor:
    """Moments of all slots together: scalar, ``[COLS]`` and ``[COLS]``."""
    count = tl.sum(seen, axis=0)
    mid = tl.sum(mean * seen[:, None], axis=0) / tl.where(count > 0, count, 1.0)
    delta = mean - mid[None, :]
    return count, mid, tl.sum(square + seen[:, None] * delta * delta, axis=0)


@triton.jit(do_not_specialize=["rows", "each"])
def _rows_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    part_count: tl.tensor,
    part_mean: tl.tensor,
    part_square: tl.tensor,
    rows: tl.tensor,
    each: tl.tensor,
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
    seen = tl.full((ROWS,), 0.0, WIDE)
    mean = tl.full((ROWS, COLS), 0.0, WIDE)
    square = tl.full((ROWS, COLS), 0.0, WIDE)
    for start in range(first, last, ROWS):
        row = start + slot
        live = row < last
        both = live[:, None] & inside[None, :]
        value = tl.load(x + row[:, None] * C + cols[None, :], mask=both, other=0.0).to(WIDE)
        c = load_weight(weight, row, live, WIDE)
        seen, mean, square = add_row(seen, mean, square, c, value)
    count, mid, spread = merge_slots(seen, mean, square)
    tl.store(part_count + program, count, mask=tl.program_id(1) == 0)
    tl.store(part_mean + program * C + cols, mid, mask=inside)
    tl.store(part_square + program * C + cols, spread, mask=inside)


@triton.jit(do_not_specialize=["programs"])
def _merge_kernel(
    part_count: tl.tensor,
    part_mean: tl.tensor,
    part_square: tl.tensor,
    mean_out: tl.tensor,
    var_out: tl.tensor,
    count_out: tl.tensor,
    programs: tl.tensor,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    cols = tl.program_id(0) * COLS + tl.arange(0, COLS)
    slot = tl.arange(0, ROWS)
    inside = cols < C
    seen = tl.full((ROWS,), 0.0, WIDE)
    mean = tl.full((ROWS, COLS), 0.0, WIDE)
    square = tl.full((ROWS, COLS), 0.0, WIDE)
    for start in range(0, programs, ROWS):
        row = start + slot
        live = row < programs
        both = live[:, None] & inside[None, :]
        at = row[:, None] * C + cols[None, :]
        n = tl.load(part_count + row, mask=live, other=0.0)
        delta = tl.load(part_mean + at, mask=both, other=0.0) - mean
        total = seen + n
        share = n / tl.where(total > 0, total, 1.0)
        square += tl.load(part_square + at, mask=both, other=0.0)
        square += (seen * share)[:, None] * delta * delta
        mean += share[:, None] * delta
        seen = total
    count, mid, spread = merge_slots(seen, mean, square)
    some = count > 0
    var = tl.where(some, spread / tl.where(some, count, 1.0), 1.0)
    tl.store(mean_out + cols, mid, mask=inside)
    tl.store(var_out + cols, var, mask=inside)
    tl.store(count_out, count, mask=tl.program_id(0) == 0)
