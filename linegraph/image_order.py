"""Images that are given in another order than that of the path."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .images import IMAGES
from .structure import Cell
from .unwrapping import unwrapped

#: How many times as long as in the best order a path may be. Exchanging two images of an even path
#: makes it 1.25 times as long at the least; all 619 published ones are in the best order.
LONGER = 1.1

#: Every order of the images.
_ORDERS = np.array(list(permutations(range(IMAGES))))


def lengths_of_orders(apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length ``[120]`` of the path in each order of its images, the given one first.

    Args:
        apart: ``[5, 5]`` distances of images.
    """
    lengths: NDArray[np.float64] = apart[_ORDERS[:, :-1], _ORDERS[:, 1:]].sum(axis=1)
    return lengths


def check_order(band: Cell) -> None:
    """Refuse images that make a shorter path in another order.

    Args:
        band: atoms 0..4 are the images.

    Raises:
        InputError: as given, the path is longer than :data:`LONGER` times the shortest one. The
            field is ``coords``.
    """
    images = unwrapped(band).cart[:IMAGES]
    lengths = lengths_of_orders(np.linalg.norm(images[:, None] - images[None], axis=2))
    given, best = lengths[0], int(lengths.argmin())
    if given > LONGER * lengths[best]:
        order = ", ".join(map(str, _ORDERS[best]))
        raise InputError(
            f"atoms 0 to {IMAGES - 1} are the images in the order of the path, which is "
            f"{given:.2f} Å long as given, but {lengths[best]:.2f} Å in the order {order}",
            field="coords",
        )
