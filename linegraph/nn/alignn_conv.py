"""One ALIGNN layer: a convolution over bonds, then one over angles."""

from __future__ import annotations

from torch import Tensor, nn

from ..kernels import Edges
from ..transforms import line_weights
from .edge_gated_conv import EdgeGatedConv


class ALIGNNConv(nn.Module):
    r"""Update atoms from bonds, and bonds from the angles between them.

    .. math::
        (x', m) &= \mathrm{EdgeGatedConv}_{\mathrm{crystal}}(x, y) \\
        (y', z') &= \mathrm{EdgeGatedConv}_{\mathrm{line}}(m, z)

    Args:
        channels: width C of atom, bond and angle features.

    Shapes:
        - x ``[N, C]`` atoms, bonds ``[E, C]``, angles ``[T, C]``
        - edge_index ``[2, E]``, line_index ``[2, T]`` (pairs of bonds); also :func:`edges_of` them
        - multiplicity ``[E]``: copies each bond stands for (default 1)
        - output: x' ``[N, C]``, y' ``[E, C]``, z' ``[T, C]`` (None with ``update_angles=False``)

    Source: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), eq. 5-6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.atom_conv = EdgeGatedConv(channels)
        self.bond_conv = EdgeGatedConv(channels)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | Edges,
        bonds: Tensor,
        line_index: Tensor | Edges,
        angles: Tensor,
        *,
        multiplicity: Tensor | None = None,
        update_angles: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        crystal, line = edges_of(edge_index, x.size(0), line_index, multiplicity)
        x, m = self.atom_conv(x, crystal, bonds)
        bonds, updated = self.bond_conv(
            m,
            line,
            angles,
            node_count=crystal.count,
            update_edges=update_angles,
        )
        return x, bonds, updated


def edges_of(
    edge_index: Tensor | Edges,
    num_nodes: int,
    line_index: Tensor | Edges,
    multiplicity: Tensor | None,
) -> tuple[Edges, Edges]:
    """Bonds and pairs of bonds with their weights, made once for all layers.

    Args:
        edge_index: ``[2, E]``; :class:`Edges` are handed on as they are.
        num_nodes: number of atoms.
        line_index: ``[2, T]``, likewise.
        multiplicity: ``[E]`` copies each bond stands for, or None for 1 each.
    """
    if not isinstance(edge_index, Edges):
        edge_index = Edges(edge_index, num_nodes, multiplicity, multiplicity)
    if not isinstance(line_index, Edges):
        copies = edge_index.count
        weight, count = (None, None) if copies is None else line_weights(copies, line_index)
        line_index = Edges(line_index, edge_index.index.size(1), weight, count)
    return edge_index, line_index
