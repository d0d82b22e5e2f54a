"""Mean over the atoms of each structure."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.utils import scatter


def mean_over_atoms(x: Tensor, graph: Any) -> Tensor:
    """Average ``[N, H]`` over the atoms of each structure of a graph or batch: ``[B, H]``."""
    batch = getattr(graph, "batch", None)
    if batch is None:
        return x.mean(dim=0, keepdim=True)
    # A plain graph may carry a batch vector too; its last atom then tells how many there are.
    size = getattr(graph, "num_graphs", None)
    pooled: Tensor = scatter(x, batch, dim=0, dim_size=size, reduce="mean")
    return pooled
