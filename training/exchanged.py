"""Images of a path in which atoms of one element have changed places in the file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import SYMBOLS
from linegraph.errors import InputError
from linegraph.structure import Cell
from linegraph.unwrapping import shortest_ways

#: Å; an atom that moves less from one image to the next is where it was.
STILL = 0.5

#: Å that the atoms of one element go less altogether, if they are paired in another way.
SAVED = 1.0


def check_same_order(images: Sequence[tuple[str, Cell]]) -> None:
    """Refuse images whose atoms are not in the order of those before.

    From one image to the next, as much as :data:`SAVED` would be saved by another pairing of atoms
    of one element. (By the triangle inequality, none is where a single atom moves.)

    Args:
        images: each with what errors call it; of the same atoms in the same cell.

    Raises:
        InputError: names the images and the atoms.
    """
    for (before, first), (name, second) in pairwise(images):
        moves = _moves(second.frac - first.frac, first.lattice)
        for z in np.unique(first.numbers):
            moved = np.flatnonzero((first.numbers == z) & (moves > STILL))
            if len(moved) < 2:
                continue
            paired = _paired(first, second, moved)
            saved = moves[moved].sum() - _between(first, second, moved, paired).sum()
            if saved < SAVED:
                continue
            others = moved[moved != paired]
            raise InputError(
                f"{before} and {name} have their atoms of {SYMBOLS[z - 1]} in another order (atoms "
                f"{', '.join(map(str, others[:5]))}{', ...' if len(others) > 5 else ''} change "
                "places); all images need the same order",
                field="coords",
            )


def _between(
    first: Cell, second: Cell, atoms: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far it is from atoms of one image to atoms of the next, ``[M]`` in Å."""
    return _moves(second.frac[others] - first.frac[atoms], first.lattice)


def _paired(first: Cell, second: Cell, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each atom of an image the one of the next that makes their ways short altogether."""
    from scipy.optimize import linear_sum_assignment

    here, there = np.meshgrid(atoms, atoms, indexing="ij")
    apart = _between(first, second, here.ravel(), there.ravel()).reshape(here.shape)
    found: NDArray[np.int64] = atoms[linear_sum_assignment(apart)[1]]
    return found


def _moves(steps: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lengths of fractional steps ``[M, 3]`` by the shortest ways."""
    lengths: NDArray[np.float64] = np.linalg.norm(
        (steps + shortest_ways(steps, lattice)) @ lattice, axis=1
    )
    return lengths
