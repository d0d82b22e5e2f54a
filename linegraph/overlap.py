"""Atoms that sit on one another."""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .structure import Cell

#: Pairs looked at in one go, to bound the memory (some 50 MB) whatever the size of the cell.
_PAIRS = 1_000_000

#: Atoms whose pairs are compared within seconds. Published bands have up to 1,027.
MOST = 10_000


def closest_pair(cell: Cell, below: float) -> tuple[int, int, float] | None:
    """The closest two atoms among those nearer to each other than a limit.

    Periodic images count. All pairs are compared, with numpy alone: a cell list of boxes as small
    as an overlap is slower, and on cells far from any crystal it is no more than a way to crash.

    Args:
        cell: the structure; coordinates may lie outside [0, 1).
        below: the limit in Å, above 0.

    Returns:
        ``(i, j, distance)`` with ``i < j`` and the distance in Å, or None if no two atoms are
        nearer than ``below``.

    Raises:
        InputError: the cell is thinner than twice the limit, or there are more atoms than
            :data:`MOST`.
    """
    if len(cell) > MOST:
        raise InputError(f"{len(cell)} atoms; at most {MOST} are read", field="elements")
    areas = np.linalg.norm(np.cross(cell.lattice[[1, 2, 0]], cell.lattice[[2, 0, 1]]), axis=1)
    thickness = float(abs(np.linalg.det(cell.lattice)) / areas.max())
    # A vector shorter than half the thickness has fractional components below 1/2, so rounding
    # finds the nearest image; and an atom's own images are a thickness away at least.
    if thickness <= 2 * below:
        raise InputError(f"the cell is only {thickness:.3g} Å thick", field="lattice")
    frac = cell.frac - np.floor(cell.frac)
    nearest: tuple[int, int, float] | None = None
    rows = max(1, _PAIRS // len(cell))
    for first in range(0, len(cell), rows):
        apart = frac[first : first + rows, None] - frac[None, first:]
        apart -= np.rint(apart)
        apart = apart @ cell.lattice
        squares = np.einsum("ijk,ijk->ij", apart, apart)
        squares[np.tril_indices_from(squares)] = np.inf
        i, j = np.unravel_index(np.argmin(squares), squares.shape)
        distance = float(np.sqrt(squares[i, j]))
        if distance < (nearest[2] if nearest else below):
            nearest = int(i) + first, int(j) + first, distance
    return nearest
