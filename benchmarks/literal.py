"""Literal multigraphs of different programs in one form, to be compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linegraph import Cell, CrystalGraph
from linegraph.crystal import distinct_bonds, graph_of
from linegraph.transforms import bond_cosine, line_index

from .shells import beyond_kth

#: Neighbours nearer than this (Å) to the last shell are in or out by the last bits: some programs
#: round the lattice to five decimals for a part of the arithmetic.
NOISE = 1e-5


class Literal(NamedTuple):
    """A graph whose every bond is written down as often as the reference emits it.

    Attributes:
        source: ``[E]`` atoms where bonds start.
        target: ``[E]`` atoms where they end.
        vector: ``[E, 3]`` from source to target, Å.
        pairs: ``[2, T]`` consecutive bonds.
        cosine: ``[T]`` of the angles.
    """

    source: Tensor
    target: Tensor
    vector: Tensor
    pairs: Tensor
    cosine: Tensor


class Ordered(NamedTuple):
    """A literal graph in an order that depends on the graph alone.

    Attributes:
        bonds: ``[E, 5]`` rows (source, target, image), sorted; copies next to each other.
        vector: ``[E, 3]`` Å.
        pairs: ``[T]`` number of the first bond among the distinct ones and of the second, in one
            integer, sorted.
        cosine: ``[T]``.
    """

    bonds: NDArray[np.int64]
    vector: NDArray[np.float64]
    pairs: NDArray[np.int64]
    cosine: NDArray[np.float64]


def ordered(graph: Literal, cell: Cell) -> Ordered:
    """Sort a graph of a structure; images follow from the vectors."""
    rows = _rows(graph, cell)
    vector = graph.vector.double().numpy()
    distinct, rank = np.unique(rows, axis=0, return_inverse=True)
    rank = rank.reshape(-1)
    first, second = rank[graph.pairs[0].numpy()], rank[graph.pairs[1].numpy()]
    code = first * len(distinct) + second
    by_bond, by_pair = np.argsort(rank, kind="stable"), np.argsort(code, kind="stable")
    cosine = graph.cosine.double().numpy()
    return Ordered(rows[by_bond], vector[by_bond], code[by_pair], cosine[by_pair])


def distinct_graph(graph: Literal, cell: Cell) -> CrystalGraph:
    """The bonds of a literal graph of a structure, each once; without line graph."""
    rows = _rows(graph, cell)
    rows = np.column_stack([rows[:, 1], rows[:, 0], -rows[:, 2:]])
    bonds, copies = np.unique(rows, axis=0, return_counts=True)
    return graph_of(cell, bonds, copies)


def largest_difference(one: Ordered, other: Ordered) -> float:
    """Largest difference of a component (Å) or a cosine; infinite if the graphs differ."""
    if not (np.array_equal(one.bonds, other.bonds) and np.array_equal(one.pairs, other.pairs)):
        return float("inf")
    differences = [
        np.abs(a - b).max(initial=0.0)
        for a, b in ((one.vector, other.vector), (one.cosine, other.cosine))
    ]
    return float(max(differences))


def only_noise(cell: Cell, one: Ordered, other: Ordered) -> bool:
    """Whether all bonds in which two graphs differ belong to a shell that rounding decides about.

    Such a bond joins an atom to a neighbour within :data:`NOISE` of the 12th-nearest one's
    distance, where that is not the only one.
    """
    rows, which = np.unique(np.concatenate([one.bonds, other.bonds]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    in_one = np.bincount(which[: len(one.bonds)], minlength=len(rows))
    in_other = np.bincount(which[len(one.bonds) :], minlength=len(rows))
    differing = {tuple(row) for row in rows[in_one != in_other].tolist()}
    found, excess = beyond_kth(cell, NOISE)
    near = found.where(np.abs(excess) <= NOISE)
    crowded = np.bincount(near.center, minlength=len(cell)) > 1
    # Rows (target, source, -image), both ways.
    bonds, _ = distinct_bonds(near.where(crowded[near.center]), canonical=False)
    noise = np.column_stack([bonds[:, 1], bonds[:, 0], -bonds[:, 2:]])
    return bool(differing) and differing <= {tuple(row) for row in noise.tolist()}


def _rows(graph: Literal, cell: Cell) -> NDArray[np.int64]:
    """Bonds ``[E, 5]`` as (source, target, image), in the order of the graph."""
    source, target = graph.source.numpy(), graph.target.numpy()
    vector = graph.vector.double().numpy()
    shift = vector @ np.linalg.inv(cell.lattice) - cell.frac[target] + cell.frac[source]
    return np.column_stack([source, target, np.rint(shift)]).astype(np.int64)


def pairs_of(source: Tensor, target: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Line graph of a literal graph, every bond and pair written down: pairs and cosines."""
    index = torch.stack([source, target])
    pairs = line_index(index, int(index.max()) + 1)
    return pairs, bond_cosine(vector, pairs)
