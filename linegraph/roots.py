"""Square roots of barriers, in which large and rare ones weigh less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def signed_root(energy: FloatArray) -> FloatArray:
    """The square root, with the sign of the energy."""
    root: FloatArray = np.sign(energy) * np.sqrt(np.abs(energy))
    return root


def signed_square(root: FloatArray) -> FloatArray:
    """What :func:`signed_root` undoes."""
    return root * np.abs(root)
