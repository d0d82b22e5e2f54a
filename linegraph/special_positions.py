"""Places that are given with too few digits to lie on the symmetry elements that they belong to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Å; copies of a place this near to each other are one place, given with too few digits.
SAME_PLACE = 0.1


def settled(
    place: NDArray[np.float64], copies: NDArray[np.float64], lattice: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The middle of those copies of a place that should be one: exactly on the symmetry element.

    Args:
        place: ``[3]`` fractional.
        copies: ``[G, 3]`` where the operations of the space group take it, in any cell.
        lattice: ``[3, 3]`` rows in Å.
    """
    apart = copies - place
    apart -= np.rint(apart)
    near = np.linalg.norm(apart @ lattice, axis=1) < SAME_PLACE
    middle: NDArray[np.float64] = place + apart[near].mean(axis=0)
    return middle
