"""Back end on the library torch-scatter: its segment and scatter operators."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .backend import Gate
from .edges import Edges
from .reference import Reference, gated
from .segment_sum import segment_sum


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
                return segment_sum(rows, ptr, _library().segment_csr)
            out: Tensor = _library().scatter_sum(rows, target, dim=0, dim_size=edges.num_nodes)
            return out

        return gated(gate, source, target, edges.weight_as(gate.edge_attr.dtype), summed)


def _library() -> Any:
    import torch_scatter

    return torch_scatter
