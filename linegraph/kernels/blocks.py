"""Row blocks: the size of a piece of work, and how its rows are summed at the nodes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .edges import Segments

#: Values in one block on a CPU: a few temporaries of this size stay in the second-level cache, so
#: they never travel to main memory (and cost no page faults, which dominate large allocations).
CPU_BLOCK = 1 << 17


def in_blocks(device: torch.device) -> bool:
    """Whether work is cut into blocks: on a CPU. A GPU is given all rows at once."""
    return device.type == "cpu"


def row_blocks(rows: Tensor, channels: int) -> Iterator[slice]:
    """Slices that cover the rows of ``[R, ...]`` for work on ``channels`` values a row."""
    count = rows.size(0)
    size = max(1, CPU_BLOCK // max(1, channels)) if in_blocks(rows.device) else max(1, count)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def add_at(out: Tensor, index: Tensor, rows: Tensor, segments: Segments | None) -> None:
    """Add ``rows [R, C]`` to ``out [N, C]`` at ``index [R]``, in a fixed order.

    Args:
        out: sums so far.
        index: where each row goes.
        rows: one block of rows; all of them if ``segments`` are given.
        segments: how ``index`` groups the rows, where work is not cut into blocks. The sum over
            segments needs no atomics, which on a GPU would add in another order each time. On a
            CPU, ``index_add_`` keeps the order and is several times faster.
    """
    if segments is None:
        out.index_add_(0, index, rows.to(out.dtype))
    else:
        out += segments.sum(rows)


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type sums are carried in: float32 where rows are stored in half precision."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


class Scratch:
    """Memory for the temporaries of one block, reused by the next.

    A fresh allocation of this size costs page faults that take longer than the work on it.

    Args:
        like: rows ``[R, ...]`` that the work is about.
        channels: width of the temporaries.
        dtype: their type.
    """

    def __init__(self, like: Tensor, channels: int, dtype: torch.dtype) -> None:
        largest = max((r.stop - r.start for r in row_blocks(like, channels)), default=0)
        self._shape = largest, channels
        self._dtype, self._device = dtype, like.device
        self._memory: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: slice) -> Tensor:
        """A tensor ``[rows, channels]`` of any content, the same memory for the same name."""
        if name not in self._memory:
            self._memory[name] = torch.empty(self._shape, dtype=self._dtype, device=self._device)
        return self._memory[name][: rows.stop - rows.start]
