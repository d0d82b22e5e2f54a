"""Edge-gated graph convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels import Edges, edge_gate, edge_update
from .batch_norm import BatchNormSiLU
from .fusible import fusible


class EdgeGatedConv(nn.Module):
    r"""Edge-gated graph convolution with residual updates of nodes and edges.

    .. math::
        m_{st} &= A x_s + B x_t + C y_{st} \\
        h_t &= \frac{\sum_s w_{st}\, \sigma(m_{st}) \odot D x_s}
                   {\sum_s w_{st}\, \sigma(m_{st}) + 10^{-6}} \\
        x'_t &= x_t + \mathrm{SiLU}(\mathrm{BN}(S x_t + h_t)) \\
        y'_{st} &= y_{st} + \mathrm{SiLU}(\mathrm{BN}(m_{st}))

    Works on any directed multigraph: on a crystal graph nodes are atoms and edges are bonds, on a
    line graph nodes are bonds and edges are triplets.

    Args:
        channels: width C of node and edge features.
        recompute: keep less for the backward pass and compute it again there; can be changed at
            any time (:func:`linegraph.nn.set_recompute`).

    Shapes:
        - x ``[N, C]``, edge_index ``[2, E]`` (source, target), edge_attr ``[E, C]``; in place of
          edge_index also :class:`linegraph.kernels.Edges`, which many layers share
        - edge_weight ``[E]``: copies of an edge in the sums over incoming edges (default 1)
        - node_count ``[N]``, edge_count ``[E]``: copies of a row in batch statistics (default 1)
        - output: x' ``[N, C]`` and y' ``[E, C]`` (None with ``update_edges=False``)

    Raises:
        ValueError: sizes do not fit each other.

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), eq. 2-4.
    """

    def __init__(self, channels: int, recompute: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.recompute = recompute
        self.gate_source = nn.Linear(channels, channels)
        self.gate_target = nn.Linear(channels, channels)
        self.gate_edge = nn.Linear(channels, channels)
        self.message = nn.Linear(channels, channels)
        self.root = nn.Linear(channels, channels)
        self.norm_nodes = BatchNormSiLU(channels)
        self.norm_edges = BatchNormSiLU(channels)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | Edges,
        edge_attr: Tensor,
        *,
        edge_weight: Tensor | None = None,
        node_count: Tensor | None = None,
        edge_count: Tensor | None = None,
        update_edges: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        if x.size(-1) != self.channels or edge_attr.size(-1) != self.channels:
            raise ValueError(
                f"expected {self.channels} channels, got nodes with {x.size(-1)} "
                f"and edges with {edge_attr.size(-1)}"
            )
        edges = edge_index
        if not isinstance(edges, Edges):
            edges = Edges(edges, x.size(0), edge_weight, edge_count)
        elif edge_weight is not None or edge_count is not None:
            raise ValueError("give weights and counts of edges within Edges, not beside it")
        if edge_attr.size(0) != edges.index.size(1):
            raise ValueError(f"{edges.index.size(1)} edges but {edge_attr.size(0)} edge features")
        if edges.num_nodes != x.size(0):
            raise ValueError(f"edges join {edges.num_nodes} nodes but there are {x.size(0)}")
        if node_count is not None and node_count.shape != x.shape[:1]:
            raise ValueError(f"{x.size(0)} nodes but counts of shape {[*node_count.shape]}")
        fused = fusible(self.norm_edges, BatchNormSiLU) and not self.norm_edges.exchanges
        linear: tuple[Tensor, Tensor, Tensor]
        if fusible(self.gate_edge, nn.Linear):
            linear = edge_attr, self.gate_edge.weight, self.gate_edge.bias
        else:
            # Back ends map edges themselves: the identity leaves these as their own module did.
            mapped, fused = self.gate_edge(edge_attr), False
            same = torch.eye(self.channels, dtype=mapped.dtype, device=mapped.device)
            linear = mapped, same, mapped.new_zeros(self.channels)
        gate = (*linear, self.gate_source(x), self.gate_target(x), self.message(x), edges)
        if not update_edges:
            # The running statistics of edges that reach no output matter to no output either.
            arrived = edge_update(*gate, None, recompute=self.recompute).nodes
            new_edges = None
        elif fused:
            done = edge_update(*gate, self.norm_edges.of_edges(), recompute=self.recompute)
            arrived, new_edges = done.nodes, done.edges
            self.norm_edges.track(done.moments)
        else:
            arrived, m = edge_gate(*gate)
            new_edges = self.norm_edges(m, edges.count, residual=edge_attr.to(m.dtype))
        return self.norm_nodes(self.root(x) + arrived, node_count, residual=x), new_edges

    def reset_parameters(self) -> None:
        """Draw all parameters anew, and forget the running statistics."""
        for part in self.children():
            part.reset_parameters()  # type: ignore[operator]

    def extra_repr(self) -> str:
        return f"channels={self.channels}"
