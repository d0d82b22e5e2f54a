"""Row blocks: the size of a piece of work."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

#: Values in one block on a CPU: a few temporaries of this size stay in the second-level cache, so
#: they never travel to main memory (and cost no page faults, which dominate large allocations).
CPU_BLOCK = 1 << 18


def row_blocks(rows: Tensor) -> Iterator[slice]:
    """Slices that cover the rows of ``[R, C]``: cache-sized on a CPU, all at once on a GPU."""
    count, channels = rows.shape
    size = max(1, CPU_BLOCK // max(1, channels)) if rows.device.type == "cpu" else max(1, count)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
