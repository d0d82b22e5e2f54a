"""The shortest periodic way from place to place, and bands that were wrapped into the cell."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .images import IMAGES
from .structure import Cell
from .superlattice import reduced

#: Å; a way this much shorter than the given one is another way.
_SHORTER = 1e-3

#: Å; two ways are as short within this.
_SAME = 1e-6

#: Each cell and those around it.
_CELLS = np.array(list(product((-1, 0, 1), repeat=3)))


def shortest_ways(steps: NDArray[np.float64], lattice: NDArray[np.float64]) -> NDArray[np.int64]:
    """The lattice vectors that make each of some steps as short as it gets.

    Args:
        steps: ``[M, 3]`` fractional.
        lattice: ``[3, 3]`` rows in Å, of any shape, however sheared.

    Returns:
        ``[M, 3]``, to be added to the steps. Of several ways as short, within :data:`_SAME`, it is
        the one whose fractions come first by size.
    """
    small = reduced(lattice)
    basis = np.rint(small @ np.linalg.inv(lattice))
    # In a basis of shortest vectors, the nearest image is in the next cell at most.
    nearest = np.rint(steps @ np.linalg.inv(basis))
    shifts = (_CELLS - nearest[:, None]) @ basis
    lengths = np.linalg.norm((steps[:, None] + shifts) @ lattice, axis=2)
    near = lengths < lengths.min(axis=1, keepdims=True) + _SAME
    fractions = np.where(near[..., None], (steps[:, None] + shifts).round(6), np.inf)
    first = [np.lexsort(ways.T[::-1])[0] for ways in fractions]
    chosen: NDArray[np.int64] = shifts[np.arange(len(steps)), first].astype(np.int64)
    return chosen


def unwrapped(band: Cell) -> Cell:
    """The band with each image next to the one before it, as its ion moves.

    Programs that read and write structures wrap coordinates into the cell, and a path that crosses
    a face is torn apart. An image is moved by lattice vectors only where that takes it nearer to
    the one before.

    Args:
        band: atoms 0..4 are the images.

    Returns:
        The band itself where no image has a shorter way.
    """
    steps = np.diff(band.frac[:IMAGES], axis=0)
    shifts = shortest_ways(steps, band.lattice)
    given, best = (np.linalg.norm(way @ band.lattice, axis=1) for way in (steps, steps + shifts))
    shorter = best < given - _SHORTER
    if not shorter.any():
        return band
    frac = band.frac.copy()
    frac[1:IMAGES] += np.cumsum(np.where(shorter[:, None], shifts, 0), axis=0)
    return Cell(band.lattice, frac, band.numbers)
