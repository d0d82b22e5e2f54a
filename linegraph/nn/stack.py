"""The layers of the trunk, without what embeds their input."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ..kernels import Edges
from .alignn_conv import ALIGNNConv
from .edge_gated_conv import EdgeGatedConv


class Embedded(NamedTuple):
    """A graph with features: what layers work on.

    Attributes:
        x: ``[N, H]`` atoms.
        bonds: ``[E, H]``.
        angles: ``[T, H]``.
        crystal: bonds between atoms, with their copies.
        line: pairs of bonds, with theirs (:func:`linegraph.nn.alignn_conv.edges_of`).
    """

    x: Tensor
    bonds: Tensor
    angles: Tensor
    crystal: Edges
    line: Edges


class ALIGNNStack(nn.Module):
    """ALIGNN layers, then edge-gated convolutions over bonds only.

    What reaches no output (the last angle and bond features) is not computed.

    Args:
        hidden: width H.
        alignn_layers: layers over angles and bonds.
        conv_layers: layers over bonds.

    Shapes:
        - input: :class:`Embedded`
        - output ``[N, H]``
    """

    def __init__(self, hidden: int, alignn_layers: int, conv_layers: int) -> None:
        super().__init__()
        self.alignn_layers = nn.ModuleList(ALIGNNConv(hidden) for _ in range(alignn_layers))
        self.conv_layers = nn.ModuleList(EdgeGatedConv(hidden) for _ in range(conv_layers))

    def run(self, graph: Embedded) -> Tensor:
        """Features of every atom after all layers ``[N, H]``."""
        x, bonds, angles, crystal, line = graph
        # Nor does the tuple hold on to the first angle features, the largest tensor of all.
        del graph
        for i, layer in enumerate(self.alignn_layers, start=1):
            x, bonds, angles = layer(
                x,
                crystal,
                bonds,
                line,
                angles,
                update_angles=i < len(self.alignn_layers),
            )
        for i, conv in enumerate(self.conv_layers, start=1):
            x, bonds = conv(
                x,
                crystal,
                bonds,
                update_edges=i < len(self.conv_layers),
            )
        return x

    def forward(self, graph: Embedded) -> Tensor:
        return self.run(graph)
