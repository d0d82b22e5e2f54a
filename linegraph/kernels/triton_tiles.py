"""How work is cut into programs of a GPU, what they compute in, and how they find their rows."""

# No postponed annotations: Triton must see tl.constexpr itself.

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Rows of a tile. Most nodes have some ten incoming edges.
ROWS = 8
#: Rows of a tile where every row is treated alike.
PLAIN_ROWS = 16
#: Most columns of a tile.
COLUMNS = 128
#: Most programs that share out segments or rows: enough to fill a GPU, few enough that their
#: partial sums are small. A constant, so that sums do not depend on the device.
PROGRAMS = 4096

#: Types that kernels compute in, as Triton calls them.
TRITON_TYPE = {torch.float32: tl.float32, torch.float64: tl.float64}


def interpreted() -> bool:
    """Whether kernels run on a CPU, by Triton's interpreter (decided when they are imported)."""
    return not isinstance(_probe, triton.runtime.JITFunction)


def wide(*tensors: Tensor) -> torch.dtype:
    """Type to compute and add up in: float64 if a tensor is, else float32."""
    return torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32


def columns(channels: int) -> int:
    """Columns of a tile: a power of 2."""
    return min(COLUMNS, 1 << (channels - 1).bit_length())


def tiles(channels: int) -> int:
    """Tiles that cover all channels."""
    return -(-channels // columns(channels))


def shared_out(units: int) -> tuple[int, int]:
    """Number of programs, and how many consecutive units each of them takes."""
    each = max(1, -(-units // PROGRAMS))
    return -(-units // each), each


@triton.jit
def _probe() -> None:
    pass


@triton.jit
def load_edge(order: tl.tensor, place: tl.tensor, live: tl.tensor) -> tl.tensor:
    """Edges at some places of the order by node."""
    edge = place
    if order is not None:
        edge = tl.load(order + place, mask=live, other=0)
    return edge


@triton.jit
def load_weight(
    weight: tl.tensor, row: tl.tensor, live: tl.tensor, WIDE: tl.constexpr
) -> tl.tensor:
    """Weights of rows: 1 where none are given, 0 outside."""
    found = live.to(WIDE)
    if weight is not None:
        found = tl.load(weight + row, mask=live, other=0.0).to(WIDE)
    return found
