"""A path through other images than those that are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(
    path: NDArray[np.float64], lattice: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Places that are evenly spaced along the straight lines between those of a path.

    Args:
        path: ``[M, 3]`` fractional, each next to the one before, not all in one place.
        lattice: ``[3, 3]`` rows in Å.
        count: of the places, both ends included.

    Returns:
        ``[count, 3]`` fractional.
    """
    lengths = np.linalg.norm(np.diff(path, axis=0) @ lattice, axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(wanted, along, axis) for axis in path.T], axis=1)
