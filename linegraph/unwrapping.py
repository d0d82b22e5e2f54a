"""Bands whose images were wrapped into the cell."""

from __future__ import annotations

from itertools import product

import numpy as np

from .images import IMAGES
from .structure import Cell
from .superlattice import reduced

#: Å; a way this much shorter than the given one is another way.
_SHORTER = 1e-3


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
    small = reduced(band.lattice)
    basis = np.rint(small @ np.linalg.inv(band.lattice))
    cells = np.array(list(product((-1, 0, 1), repeat=3)))
    # In a basis of shortest vectors, the nearest image is in the next cell at most.
    nearest = np.rint(steps @ np.linalg.inv(basis))
    shifts = (cells - nearest[:, None]) @ basis
    lengths = np.linalg.norm((steps[:, None] + shifts) @ band.lattice, axis=2)
    best = lengths.argmin(axis=1)
    rows = np.arange(len(steps))
    shorter = lengths[rows, best] < np.linalg.norm(steps @ band.lattice, axis=1) - _SHORTER
    if not shorter.any():
        return band
    frac = band.frac.copy()
    frac[1:IMAGES] += np.cumsum(np.where(shorter[:, None], shifts[rows, best], 0.0), axis=0)
    return Cell(band.lattice, frac, band.numbers)
