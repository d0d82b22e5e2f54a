"""Graph transforms: where a pair of bonds becomes a triplet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform

#: What :class:`LineGraph` adds.
LINE_FIELDS = ("line_index", "line_cos", "line_end")


class LineGraph(BaseTransform):
    r"""Add the line graph: every pair of consecutive bonds, and the angle between them.

    Bond :math:`(a \to b)` is joined to every bond :math:`(b \to c)`, its own reverse and parallel
    periodic bonds included. A bond is no partner of itself; where it stands for two copies
    (``multiplicity`` 2, an atom bonded to its own image) the pair of the *different* copies is
    kept. The angle enters as

    .. math:: \cos\theta = -\frac{r_1 \cdot r_2}{|r_1| |r_2|}

    with :math:`r` from source to target, clamped to [-1, 1] (Choudhary and DeCost, npj Comput.
    Mater. 7, 185 (2021)). A bond without length gives 0.

    Works on any ``Data`` or ``Batch`` with ``edge_index`` and ``edge_vec``, on any device, bonds
    in any order, ``multiplicity`` or not, and no bonds at all. It adds ``line_index [2, T]``
    (sorted by target bond), ``line_cos [T]`` and ``line_end [E]``.

    Raises:
        ValueError: ``edge_vec`` or ``multiplicity`` are not of as many bonds as ``edge_index``.

    Note:
        PyG adds up indices in a batch by rules of the class. :class:`linegraph.CrystalGraph` has
        them for ``line_index``; on a plain ``Data`` apply the transform to the ``Batch``.
    """

    def forward(self, data: Any) -> Any:
        edge_index: Tensor = data["edge_index"]
        copies = getattr(data, "multiplicity", None)
        check_sizes(edge_index, data["edge_vec"], copies)
        index = line_index(edge_index, int(data.num_nodes), copies)
        bonds = edge_index.size(1)
        data["line_index"] = index
        data["line_cos"] = bond_cosine(data["edge_vec"], index)
        data["line_end"] = torch.bincount(index[1], minlength=bonds).cumsum(0)
        if isinstance(data, Batch):
            _register_slices(data)
        return data


def check_sizes(edge_index: Tensor, edge_vec: Tensor, multiplicity: Tensor | None) -> None:
    """That all fields are of the same bonds, which some transforms change in ``edge_index`` alone.

    Raises:
        ValueError: they are not.
    """
    bonds = edge_index.size(1)
    for name, value in (("edge_vec", edge_vec), ("multiplicity", multiplicity)):
        if value is not None and value.size(0) != bonds:
            raise ValueError(
                f"edge_index has {bonds} bonds but {name} has {value.size(0)}; "
                "what changes the bonds has to change both"
            )


def line_index(edge_index: Tensor, num_nodes: int, multiplicity: Tensor | None = None) -> Tensor:
    """Pairs of consecutive bonds, sorted by the second one.

    Args:
        edge_index: ``[2, E]`` source and target atom of every bond, in any order.
        num_nodes: number of atoms ``N``.
        multiplicity: ``[E]`` copies of every bond; 1 each if None.

    Returns:
        ``[2, T]`` int64: bond ``(a -> b)`` above, bond ``(b -> c)`` below.
    """
    source, target = edge_index
    if num_nodes == 0 or source.numel() == 0:
        return edge_index.new_empty((2, 0))
    incoming = torch.bincount(target, minlength=num_nodes)
    first = incoming.cumsum(0) - incoming
    # Bond e = (b -> c) is preceded by all bonds into b: a run of bonds of known start, once they
    # are sorted by target.
    partners = incoming[source]
    second = torch.repeat_interleave(partners)
    run_start = first[source] - (partners.cumsum(0) - partners)
    preceding = torch.arange(second.numel(), device=second.device)
    preceding += run_start.index_select(0, second)
    if not bool((target[1:] >= target[:-1]).all()):
        preceding = torch.argsort(target, stable=True)[preceding]
    pairs = torch.stack([preceding, second])
    # Only a bond of an atom to its own image ends where it begins.
    alone = source == target
    if multiplicity is not None:
        alone &= multiplicity < 2
    if not bool(alone.any()):
        return pairs
    return pairs[:, (preceding != second) | ~alone[second]]


def bond_cosine(edge_vec: Tensor, index: Tensor) -> Tensor:
    """Cosine of the angle at the common atom of every pair of bonds ``[T]``."""
    length = torch.linalg.vector_norm(edge_vec, dim=1, keepdim=True)
    direction = edge_vec / length.clamp_min(torch.finfo(edge_vec.dtype).tiny)
    # Component by component: sums over rows of three are slow.
    cosine = edge_vec.new_zeros(index.size(1))
    for component in direction.t().contiguous():
        before, after = (component.index_select(0, bond) for bond in index)
        cosine = torch.addcmul(cosine, before, after)
    return cosine.neg().clamp(-1.0, 1.0)


def line_weights(multiplicity: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """How often the reference's list holds each pair of distinct bonds.

    A triplet weighs the copies of its source bond in the sum into *one* copy of its target, and
    that times the copies of the target in statistics over all triplets; a bond paired with itself
    stands for pairs of different copies only.

    Args:
        multiplicity: ``[E]`` copies of every bond.
        index: ``[2, T]`` pairs of bonds.

    Returns:
        sum_weight, norm_weight: ``[T]`` each, of the dtype of ``multiplicity``.
    """
    itself = (index[0] == index[1]).to(multiplicity.dtype)
    sum_weight = multiplicity[index[0]] - itself
    return sum_weight, sum_weight * multiplicity[index[1]]


def _register_slices(batch: Any) -> None:
    """Tell a batch where the new fields of its members begin, so that it can be taken apart."""
    slices = getattr(batch, "_slice_dict", None)
    if slices is None or "edge_index" not in slices:
        return
    bonds = slices["edge_index"].cpu()
    if int(bonds[-1]) != batch["edge_index"].size(1):
        # Another transform changed the bonds of the batch: PyG cannot take it apart any more.
        return
    ends = torch.nn.functional.pad(batch["line_end"].cpu(), (1, 0))
    triplets = ends[bonds]
    slices["line_index"] = slices["line_cos"] = triplets
    slices["line_end"] = bonds
    increments = batch._inc_dict
    increments["line_index"] = bonds[:-1]
    increments["line_end"] = triplets[:-1]
    increments["line_cos"] = torch.zeros_like(bonds[:-1])
