"""What every back end offers: one signature for each operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from .edges import Edges

#: Added to the sum of gates before dividing, as in the reference.
EPS = 1e-6

#: Mean ``[C]``, biased variance ``[C]`` and number of rows (scalar).
Moments = tuple[Tensor, Tensor, Tensor]


class Gate(NamedTuple):
    """What edges are gated with: operands of :func:`linegraph.kernels.edge_gate`, see there."""

    edge_attr: Tensor
    weight: Tensor
    bias: Tensor
    source_term: Tensor
    target_term: Tensor
    value: Tensor


class BatchNorm(NamedTuple):
    """How rows are normalised.

    Attributes:
        scale: ``[C]`` gamma.
        shift: ``[C]`` beta.
        eps: added to the variance.
        statistics: mean and variance ``[C]`` to normalise by; None for those of the rows at hand.
    """

    scale: Tensor
    shift: Tensor
    eps: float
    statistics: tuple[Tensor, Tensor] | None = None


class EdgeUpdate(NamedTuple):
    """What :meth:`Backend.edge_update` returns.

    Attributes:
        nodes: ``[N, C]`` h, what arrives at every node.
        edges: ``[E, C]`` y', or None where no norm was given.
        moments: statistics of m if it was normalised by its own, else None; without gradient.
    """

    nodes: Tensor
    edges: Tensor | None
    moments: Moments | None


class Backend(ABC):
    """One implementation of the operations that all the time goes into.

    All back ends compute the same function of the same parameters; they differ in speed, memory
    and what they need. See :func:`linegraph.kernels.edge_gate`, ``norm_silu`` and ``edge_update``
    for the arguments.
    """

    #: Name for :func:`linegraph.set_backend`.
    name: str
    #: One line: how it works.
    about: str

    def missing(self) -> str | None:
        """Why it cannot be used here and what to install; None if it can."""
        return None

    @abstractmethod
    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        """See :func:`linegraph.kernels.edge_gate`."""

    @abstractmethod
    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See :func:`linegraph.kernels.norm_silu`."""

    def linear_norm_silu(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See :func:`linegraph.kernels.linear_norm_silu`: here, one after the other."""
        product = F.linear(x, weight.to(x.dtype), bias.to(x.dtype))
        return self.norm_silu(product, norm, row_weight)

    def edge_update(
        self,
        gate: Gate,
        edges: Edges,
        norm: BatchNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        """See :func:`linegraph.kernels.edge_update`: here, one operation after the other."""
        h, m = self.edge_gate(gate, edges)
        if norm is None:
            return EdgeUpdate(h, None, None)
        out, *moments = self.norm_silu(m, norm, edges.count, gate.edge_attr)
        own = norm.statistics is None
        return EdgeUpdate(h, out, (moments[0], moments[1], moments[2]) if own else None)
