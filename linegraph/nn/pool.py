"""Mean over the atoms of each structure."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..kernels import Segments
from ..kernels.blocks import wide


def mean_over_atoms(x: Tensor, graph: Any) -> Tensor:
    """Average ``[N, H]`` over the atoms of each structure of a graph or batch: ``[B, H]``.

    In the type of ``x``, except that automatic mixed precision is handed float32.
    """
    # Sums of half precision are carried in float32.
    kept = wide(x.dtype) if torch.is_autocast_enabled(x.device.type) else x.dtype
    batch = getattr(graph, "batch", None)
    if batch is None:
        return x.to(wide(x.dtype)).mean(dim=0, keepdim=True).to(kept)
    # A plain graph may carry a batch vector too; its last atom then tells how many there are.
    size = getattr(graph, "num_graphs", None) or int(batch.max()) + 1
    segments = Segments.of(batch, size)
    return (segments.sum(x) / segments.sizes.clamp_min(1)[:, None]).to(kept)
