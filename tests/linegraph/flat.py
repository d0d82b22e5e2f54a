"""Back ends called with one argument after the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from linegraph.kernels.backend import Backend, BatchNorm, EdgeUpdate, Gate


class Flat:
    """The operations of one back end, whichever is chosen, with operands not bundled."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def missing(self) -> str | None:
        return self.backend.missing()

    def edge_gate(self, *args: Any) -> tuple[Tensor, Tensor]:
        return self.backend.edge_gate(Gate(*args[:6]), *args[6:])

    def edge_update(self, *args: Any, recompute: bool = False) -> EdgeUpdate:
        *operands, edges, norm = args
        return self.backend.edge_update(Gate(*operands), edges, norm, recompute=recompute)

    def norm_silu(
        self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        norm = BatchNorm(scale, shift, eps, statistics)
        return self.backend.norm_silu(x, norm, row_weight, residual)

    def linear_norm_silu(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        row_weight: Tensor | None = None,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        norm = BatchNorm(scale, shift, eps, statistics)
        return self.backend.linear_norm_silu(x, weight, bias, norm, row_weight)
