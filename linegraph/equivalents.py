"""Everywhere in the crystal that symmetry takes the path of a hop to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .primitive_cell import TOO_NEAR, primitive
from .structure import Cell

Path = NDArray[np.float64]


def equivalent_paths(
    cell: Cell, paths: Sequence[Path], symprec: float = 1e-2
) -> list[NDArray[np.float64]]:
    """The copies of paths that the space group makes, bends included.

    :attr:`linegraph.hops.Hop.copies` has the sites at the ends of these, and no way in between.

    Args:
        cell: any cell of the crystal.
        paths: each ``[M, 3]`` fractional in it, from initial to final site.
        symprec: tolerance for symmetry, Å; the one that hops were found with.

    Returns:
        For each path its copies ``[K, M, 3]`` within one given cell, itself first. There and back
        is one path, as are those that only lattice vectors of the given cell lie between. Where
        several operations lead to the same ends, the first says how the path bends.

    Raises:
        InputError: see :func:`linegraph.primitive_cell.primitive`.
    """
    crystal = primitive(cell, symprec)
    # One for each of the primitive cells that make up the given one, the first of them zero.
    offsets = crystal.offset[crystal.kind == 0]
    back = np.linalg.inv(crystal.periods)
    found = []
    for path in paths:
        here = path @ crystal.periods
        turned = np.einsum("gij,mj->gmi", crystal.rotations, here) + crystal.translations[:, None]
        kept: list[Path] = [here]
        for candidate in turned:
            if not _is_one_of(candidate, np.array(kept), crystal.cell.lattice):
                kept.append(candidate)
        copies = np.array(kept)[None] + offsets[:, None, None]
        found.append(copies.reshape(-1, *path.shape) @ back)
    return found


def _is_one_of(path: Path, kept: NDArray[np.float64], lattice: NDArray[np.float64]) -> bool:
    """Whether a path has the ends of one of ``[K, M, 3]``, a lattice vector apart."""
    ends = kept[:, [0, -1]]
    for way in (path[[0, -1]], path[[-1, 0]]):
        apart = way - ends
        # Of both ends the same lattice vector.
        apart -= np.rint(apart[:, :1])
        if (np.linalg.norm(apart @ lattice, axis=2) < TOO_NEAR / 2).all(axis=1).any():
            return True
    return False
