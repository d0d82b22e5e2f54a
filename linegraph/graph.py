"""The crystal graph: fields and batching rules, nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data


class CrystalGraph(Data):
    """A periodic multigraph of atoms (nodes) and distinct directed bonds (edges).

    Any stock PyG ``DataLoader`` batches it. ``N`` atoms, ``E`` distinct directed bonds, ``T``
    pairs of consecutive bonds (triplets).

    Attributes:
        z: ``[N]`` int64 atomic numbers.
        pos: ``[N, 3]`` Cartesian positions, Å.
        cell: ``[1, 3, 3]`` lattice vectors as rows, Å.
        edge_index: ``[2, E]`` source and target atom, sorted by target.
        edge_vec: ``[E, 3]`` displacement from source to target, Å.
        multiplicity: ``[E]`` int64, how often the reference's edge list holds the bond (1 or 2).
        edge_end: ``[N]`` int64, where the bonds into each atom end: bonds
            ``edge_end[i - 1]:edge_end[i]`` point to atom ``i``.
        line_index: ``[2, T]`` source and target *bond* of every triplet, sorted by target bond;
            grows by ``E`` in a batch. Added by :class:`linegraph.LineGraph`.
        line_cos: ``[T]`` cosine of the angle between the two bonds at their common atom.
        line_end: ``[E]`` int64, where the triplets into each bond end.

    Pointers are kept without their leading zero so that a batch of them is again a valid list of
    ends; :attr:`edge_ptr` and :attr:`line_ptr` give the usual CSR form.
    """

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key in ("line_index", "edge_end"):
            return self["edge_index"].size(1)
        if key == "line_end":
            return self["line_index"].size(1)
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key in ("line_index", "edge_index"):
            return -1
        if key in ("edge_end", "line_end", "cell"):
            return 0
        return super().__cat_dim__(key, value, *args, **kwargs)

    @property
    def num_bonds(self) -> int:
        """Number of distinct directed bonds ``E``."""
        return int(self["edge_index"].size(1))

    @property
    def num_triplets(self) -> int:
        """Number of bond pairs ``T``; 0 where the line graph has not been added."""
        return int(self["line_index"].size(1)) if "line_index" in self else 0

    @property
    def edge_ptr(self) -> Tensor:
        """CSR pointer ``[N + 1]`` from atoms to the bonds that point to them."""
        return torch.nn.functional.pad(self["edge_end"], (1, 0))

    @property
    def line_ptr(self) -> Tensor:
        """CSR pointer ``[E + 1]`` from bonds to the triplets that point to them."""
        return torch.nn.functional.pad(self["line_end"], (1, 0))
