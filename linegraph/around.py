"""The host atoms around a few places, and no others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .structure import Cell

#: Atoms and images of them that are looked at around one place, to bound memory (some 200 MB).
#: Of the published bands, none takes a fiftieth of that within 8 Å.
MOST = 1_000_000


class Near(NamedTuple):
    """Host atoms around one place: which, and how far (Å), the nearest first; both ``[M]``."""

    atom: NDArray[np.int64]
    distance: NDArray[np.float64]


def host_around(cell: Cell, centers: int, reach: float) -> list[Near]:
    """Atoms and periodic images around each of the first atoms, those first atoms left out.

    A search among all atoms (:mod:`linegraph.neighbors`) would look at many times as many pairs,
    and leaves out atoms on the same site: a path may run right through an atom of the host.

    Args:
        cell: the structure; coordinates may lie outside [0, 1).
        centers: how many atoms, from the first, are the places.
        reach: furthest distance, Å.

    Raises:
        InputError: more than :data:`MOST` atoms and images come into question, which no crystal
            has: the cell is too thin.
    """
    host = cell.frac[centers:]
    per_length = np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)
    # Whatever the nearest image in terms of the lattice is, it is half a cell away at most.
    most = np.floor(reach * per_length + 0.5)
    if float(np.prod(2 * most + 1)) * max(1, len(host)) > MOST:
        raise InputError(
            f"the cell is too thin for a search within {reach:.3g} Å: more than {MOST:,} atoms and "
            "images come into question",
            field="lattice",
        )
    ranges = (np.arange(-m, m + 1) for m in most)
    images = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    cart = cell.cart
    found = []
    for center in range(centers):
        shift = images - np.rint(host - cell.frac[center])[:, None]
        # Term by term: a matrix product may round rows differently, and which of two atoms at the
        # same distance comes first would depend on it.
        a, b, c = (shift[..., axis, None] * cell.lattice[axis] for axis in range(3))
        x, y, z = np.moveaxis((cart[centers:] - cart[center])[:, None] + (a + b + c), -1, 0)
        distance = np.sqrt(x * x + y * y + z * z)
        atom, image = np.nonzero(distance <= reach)
        distance = distance[atom, image]
        order = np.argsort(distance, kind="stable")
        found.append(Near(atom[order] + centers, distance[order]))
    return found
