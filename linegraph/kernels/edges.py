"""The edges of a graph as kernels want them: index, weights and, when asked for, order."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from .segment_sum import segment_sum


class Segments(NamedTuple):
    """Edges grouped by one of their ends (compressed sparse rows).

    Attributes:
        order: ``[E]`` edges in order of their group, or None where they lie in that order.
        ptr: ``[N + 1]`` where each group begins and ends in ``order``.
    """

    order: Tensor | None
    ptr: Tensor

    @classmethod
    def of(cls, group: Tensor, groups: int) -> Segments:
        """Segments of rows that belong to ``group [E]``, in any order."""
        sizes = torch.bincount(group, minlength=groups)
        ptr = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
        ordered = bool((group[1:] >= group[:-1]).all())
        return cls(None if ordered else torch.argsort(group, stable=True), ptr)

    @property
    def sizes(self) -> Tensor:
        """``[N]`` edges in each group."""
        return self.ptr.diff()

    def sum(self, rows: Tensor) -> Tensor:
        """Sum ``[E, C]`` over every group to ``[N, C]``, in a fixed order: no atomics.

        Two runs give the same bits, on a GPU too. Sums of half precision are carried in float32.
        Derivatives are of any order.
        """
        if rows.dtype in (torch.bfloat16, torch.float16):
            rows = rows.float()
        ordered = rows if self.order is None else rows.index_select(0, self.order)
        return segment_sum(ordered, self.ptr, _reduced)


class Edges:
    """Directed edges, how often each counts, and their groups.

    Made once for a graph and handed to every layer, so that weights are cast and edges are
    ordered once.

    Args:
        index: ``[2, E]`` source and target of every edge, in any order.
        num_nodes: number of nodes N.
        weight: ``[E]`` how often an edge counts in the sum over the edges into its target; 1 each
            if None. Not differentiated.
        count: ``[E]`` how often it counts in statistics over all edges; 1 each if None.
    """

    def __init__(
        self,
        index: Tensor,
        num_nodes: int,
        weight: Tensor | None = None,
        count: Tensor | None = None,
    ) -> None:
        # Numbers within tensors are not known yet where torch.compile or torch.export look.
        known = not torch.compiler.is_compiling() and index.numel() > 0
        if known and not 0 <= int(index.min()) <= int(index.max()) < num_nodes:
            # A kernel on a GPU would read whatever lies there.
            raise ValueError(f"edges must join nodes 0 to {num_nodes - 1}")
        for name, tensor in (("weights", weight), ("counts", count)):
            if tensor is not None and tensor.shape != index.shape[1:]:
                raise ValueError(f"{index.size(1)} edges but {name} of shape {[*tensor.shape]}")
        self.index = index
        self.num_nodes = num_nodes
        self.weight = weight
        self.count = count
        self._cast: dict[tuple[str, torch.dtype], Tensor] = {}

    def weight_as(self, dtype: torch.dtype) -> Tensor | None:
        """``weight`` in a floating-point type."""
        return self._as("weight", self.weight, dtype)

    def count_as(self, dtype: torch.dtype) -> Tensor | None:
        """``count`` in a floating-point type."""
        return self._as("count", self.count, dtype)

    @cached_property
    def by_target(self) -> Segments:
        """Edges into each node."""
        return Segments.of(self.index[1], self.num_nodes)

    @cached_property
    def by_source(self) -> Segments:
        """Edges out of each node."""
        return Segments.of(self.index[0], self.num_nodes)

    def _as(self, name: str, value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        if value is None:
            return None
        key = name, dtype
        if key not in self._cast:
            self._cast[key] = value.detach().to(dtype)
        return self._cast[key]


def _reduced(rows: Tensor, ptr: Tensor) -> Tensor:
    return torch.segment_reduce(rows, "sum", offsets=ptr, axis=0, initial=0.0)
