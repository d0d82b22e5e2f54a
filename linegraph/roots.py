"""Square roots of barriers, in which large and rare ones weigh less."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]
Numbers = TypeVar("Numbers", FloatArray, Tensor)

# Added under the root, so that its slope is finite at 0.
_TINY = 1e-6


def signed_root(energy: FloatArray) -> FloatArray:
    """The square root, with the sign of the energy."""
    root: FloatArray = np.sign(energy) * np.sqrt(np.abs(energy))
    return root


def smooth_root(energy: Tensor) -> Tensor:
    """The same with a finite slope at 0, for losses; off by 0.001 there, and less elsewhere."""
    return energy.sign() * (energy.abs() + _TINY).sqrt()


def signed_square(root: Numbers) -> Numbers:
    """What :func:`signed_root` undoes: ``root |root|``."""
    return root * abs(root)
