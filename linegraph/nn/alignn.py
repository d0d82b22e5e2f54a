"""The ALIGNN trunk: from a crystal graph to one vector per structure."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .alignn_conv import edges_of
from .atom_embedding import AtomEmbedding
from .graph_input import as_data, line_graph_of
from .pool import mean_over_atoms
from .scalar_embedding import ScalarEmbedding
from .stack import ALIGNNStack, Embedded


class ALIGNN(ALIGNNStack):
    """Atomistic line graph neural network without a head.

    Embeds elements, bond lengths and bond angles, applies ``alignn_layers`` layers that pass
    messages over angles and bonds, then ``conv_layers`` over bonds only.

    Args:
        hidden: width H of all features.
        alignn_layers: number of ALIGNN layers.
        conv_layers: number of edge-gated convolutions after them.
        embedding: width between the basis and the hidden features of bonds and angles.
        bond_bins: Gaussians for bond lengths, 0 to ``bond_cutoff``.
        bond_cutoff: last centre, Å.
        angle_bins: Gaussians for cosines, -1 to 1.

    Shapes:
        - input: :class:`linegraph.CrystalGraph` or a batch of them (any ``Data`` with ``z``,
          ``edge_index``, ``edge_vec``, or a mapping of these; ``multiplicity``, ``batch``,
          ``line_index`` and ``line_cos`` are used if there; the last two are made if not)
        - :meth:`forward` ``[B, H]``, the mean over the atoms of each structure
        - :meth:`atoms` ``[N, H]``

    Raises:
        ValueError: the line graph does not fit the bonds, as after a transform that changed them,
            or was made before ``edge_vec`` required a gradient.

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021); defaults as in Table S1 of
    Devi, Butler and Sai Gautam, arXiv:2508.06436.
    """

    def __init__(
        self,
        hidden: int = 256,
        alignn_layers: int = 4,
        conv_layers: int = 4,
        embedding: int = 64,
        bond_bins: int = 80,
        bond_cutoff: float = 8.0,
        angle_bins: int = 40,
    ) -> None:
        super().__init__(hidden, alignn_layers, conv_layers)
        self.hidden = hidden
        self.atom_embedding = AtomEmbedding(hidden)
        self.bond_embedding = ScalarEmbedding(0.0, bond_cutoff, bond_bins, embedding, hidden)
        self.angle_embedding = ScalarEmbedding(-1.0, 1.0, angle_bins, embedding, hidden)

    def forward(self, graph: Any) -> Tensor:
        graph = as_data(graph)
        return mean_over_atoms(self.atoms(graph), graph)

    def atoms(self, graph: Any) -> Tensor:
        """Features of every atom ``[N, H]``."""
        return self.run(self.embed(graph))

    def embed(self, graph: Any) -> Embedded:
        """Features of elements, bond lengths and angles, before any layer."""
        graph = as_data(graph)
        copies: Tensor | None = getattr(graph, "multiplicity", None)
        pairs, cosine = line_graph_of(graph)
        x: Tensor = self.atom_embedding(graph["z"])
        length = torch.linalg.vector_norm(graph["edge_vec"], dim=1)
        crystal, line = edges_of(graph["edge_index"], x.size(0), pairs, copies)
        return Embedded(
            x,
            self.bond_embedding(length.to(x.dtype), crystal.count),
            self.angle_embedding(cosine.to(x.dtype), line.count),
            crystal,
            line,
        )
