"""Back end on the library torch-scatter: its segment and scatter operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .backend import Gate
from .edges import Edges
from .reference import Reference, gated


class TorchScatter(Reference):
    """Sums by ``segment_csr`` where edges are sorted by target, by ``scatter_sum`` elsewhere."""

    name = "torch_scatter"
    about = "segment and scatter operators of the torch-scatter library"

    def missing(self) -> str | None:
        try:
            _library()
        except (ImportError, OSError) as error:
            # OSError: a wheel that was built for another version of torch.
            return f"install torch-scatter, extra [scatter] ({error})"
        return None

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        source, target = edges.index

        def summed(rows: Tensor) -> Tensor:
            order, ptr = edges.by_target
            if order is None:
                out: Tensor = _SegmentSum.apply(rows, ptr, target)  # type: ignore[no-untyped-call]
            else:
                out = _library().scatter_sum(rows, target, dim=0, dim_size=edges.num_nodes)
            return out

        return gated(gate, source, target, edges.weight_as(gate.edge_attr.dtype), summed)


class _SegmentSum(torch.autograd.Function):
    """``segment_csr`` with a gradient of its own: that of the library has no derivative."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, rows: Tensor, ptr: Tensor, target: Tensor
    ) -> Tensor:
        ctx.save_for_backward(target)
        out: Tensor = _library().segment_csr(rows, ptr, reduce="sum")
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (target,) = ctx.saved_tensors
        return grad.index_select(0, target), None, None


def _library() -> Any:
    import torch_scatter

    return torch_scatter
