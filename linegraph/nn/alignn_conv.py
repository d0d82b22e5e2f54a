"""One ALIGNN layer: a convolution over bonds, then one over angles."""

from __future__ import annotations

from torch import Tensor, nn

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
        - edge_index ``[2, E]``, line_index ``[2, T]`` (pairs of bonds)
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
        edge_index: Tensor,
        bonds: Tensor,
        line_index: Tensor,
        angles: Tensor,
        *,
        multiplicity: Tensor | None = None,
        update_angles: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        line_weight = line_count = None
        if multiplicity is not None:
            line_weight, line_count = line_weights(multiplicity, line_index)
        x, m = self.atom_conv(
            x, edge_index, bonds, edge_weight=multiplicity, edge_count=multiplicity
        )
        bonds, updated = self.bond_conv(
            m,
            line_index,
            angles,
            edge_weight=line_weight,
            node_count=multiplicity,
            edge_count=line_count,
            update_edges=update_angles,
        )
        return x, bonds, updated
