"""The published layers as back ends: their operations in their order, for a literal graph.

``published`` writes them in PyTorch, ``published-dgl`` with DGL's message passing, as the published
code does. Both use PyTorch's own batch norm, so they need a graph whose weights are all 1
(:func:`linegraph.expand`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from linegraph.kernels.backend import EPS, Backend, BatchNorm, Gate
from linegraph.kernels.choice import BACKENDS
from linegraph.kernels.edges import Edges
from linegraph.kernels.reference import gated

from .compare import Options
from .peers import DGL as PACKAGES
from .peers import INSTALL, load_dgl


class Published(Backend):
    """Unfused gathers and scatter-adds, ``torch.nn.functional.batch_norm``.

    Source: ``EdgeGatedGraphConv`` of the code published with arXiv:2508.06436.
    """

    name = "published"
    about = "the published operations, in PyTorch"

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        source, target = edges.index
        return gated(gate, source, target, None)

    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale, shift, eps, statistics = norm
        rows = x.size(0)
        count = scale.new_tensor(float(rows))
        if statistics is None:
            # With momentum 1 the running estimates are those of the batch.
            mean, var = torch.zeros_like(scale), torch.ones_like(scale)
            normed = F.batch_norm(x, mean, var, scale, shift, True, 1.0, eps)
            var = var * (rows - 1) / rows
        else:
            mean, var = statistics
            normed = F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)
        out = F.silu(normed)
        return out if residual is None else residual + out, mean, var, count


class PublishedDGL(Published):
    """The same with gathers and sums by DGL."""

    name = "published-dgl"
    about = "the published operations, by DGL"

    def __init__(self) -> None:
        self._graphs = WeakTensorKeyDictionary()

    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        edge_attr, weight, bias, source_term, target_term, value = gate
        fn = load_dgl().function
        with self._graph(edges).local_scope():
            g = self._graph(edges)
            g.ndata["e_src"], g.ndata["e_dst"], g.ndata["Bh"] = source_term, target_term, value
            g.apply_edges(fn.u_add_v("e_src", "e_dst", "e_nodes"))
            m = g.edata.pop("e_nodes") + F.linear(edge_attr, weight, bias)
            g.edata["sigma"] = torch.sigmoid(m)
            g.update_all(fn.u_mul_e("Bh", "sigma", "m"), fn.sum("m", "sum_sigma_h"))
            g.update_all(fn.copy_e("sigma", "m"), fn.sum("m", "sum_sigma"))
            return g.ndata["sum_sigma_h"] / (g.ndata["sum_sigma"] + EPS), m

    def _graph(self, edges: Edges) -> Any:
        """DGL sorts a graph when it is first used; the published code keeps its graphs, too."""
        if edges.index not in self._graphs:
            source, target = edges.index
            graph = load_dgl().graph((source, target), num_nodes=edges.num_nodes)
            self._graphs[edges.index] = graph
        return self._graphs[edges.index]


def needs_dgl_library(options: Options) -> str:
    """What to install for DGL's message passing; "" if it is here."""
    try:
        load_dgl()
    except Exception as error:  # a binary that does not fit fails in many ways
        words = str(error).splitlines()
        return f"{words[0] if words else type(error).__name__}; {INSTALL} {' '.join(PACKAGES)}"
    return ""


#: By name.
PUBLISHED: dict[str, type[Backend]] = {kind.name: kind for kind in (Published, PublishedDGL)}


def register_published() -> None:
    """Make both known to :func:`linegraph.use_backend`, in this process."""
    for name, kind in PUBLISHED.items():
        if name not in BACKENDS:
            BACKENDS[name] = kind()
