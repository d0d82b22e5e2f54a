"""Periodic neighbour lists: whole shells around every atom, and plain radius search.

The search itself is vesin's cell list (C++, linear in the number of atoms); what is ours is the
rule that decides which neighbours count.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .structure import Cell

#: Neighbours at most this near (Å) are copies of the atom itself and are left out, as in the
#: reference (a few published records hold the same site twice).
SAME_SITE = 0.15

#: Shells grow until they are full; a crystal whose atoms are further apart than this (Å) is a
#: mistake in the file, and searching on would exhaust the memory.
LARGEST_RADIUS = 1000.0

#: So many pairs (1.5 GB, ten seconds) may always be looked at ...
PAIRS = 10_000_000

#: ... and of large structures so many for each atom. A bound is compared with these: it is six
#: times the number of pairs there are, 170 for each atom of a crystal or a melt.
PAIRS_OF_ATOM = 500

#: Boxes that the search may look into, empty ones among them: seconds. Of 50,000 atoms in a crystal
#: there are 200,000.
LOOKS = 1e8

#: Copies of itself that an atom may have at its place, on the average: published records have one.
COPIES = 8


#: Makes one number of the numbers of a box in three directions.
_WEIGHTS = np.array([2**40, 2**20, 1])


class Neighbors(NamedTuple):
    """``M`` entries: atom ``center[m]`` has atom ``neighbor[m]`` of cell ``image[m]`` near it.

    Attributes:
        center: ``[M]`` int64, sorted ascending.
        neighbor: ``[M]`` int64.
        image: ``[M, 3]`` int64 lattice translation of the neighbour, relative to the fractional
            coordinates as given (which need not lie in [0, 1)).
        distance: ``[M]`` float64, Å.
    """

    center: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    image: NDArray[np.int64]
    distance: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> Neighbors:
        """The entries for which ``keep`` ``[M]`` is true."""
        return Neighbors(
            self.center[keep], self.neighbor[keep], self.image[keep], self.distance[keep]
        )


def radius_neighbors(cell: Cell, radius: float) -> Neighbors:
    """All neighbours further than :data:`SAME_SITE` and at most ``radius`` (Å) away.

    Raises:
        InputError: a structure as no matter is: there are so many of them that searching would take
            all memory, or atoms sit on one another.
    """
    from vesin import NeighborList

    check_pairs(cell, radius)
    search = NeighborList(cutoff=radius, full_list=True)
    center, neighbor, image, distance = search.compute(
        points=cell.cart, box=cell.lattice, periodic=True, quantities="ijSd"
    )
    far = distance > SAME_SITE
    if len(far) - np.count_nonzero(far) > COPIES * len(cell):
        raise InputError(
            f"atoms sit on one another: each has more than {COPIES} others or periodic images "
            f"within {SAME_SITE:g} Å",
            field="coords",
        )
    order = np.argsort(center[far], kind="stable")
    return Neighbors(
        center[far][order].astype(np.int64),
        neighbor[far][order].astype(np.int64),
        image[far][order].astype(np.int64),
        distance[far][order],
    )


def shell_neighbors(cell: Cell, k: int, shell_tol: float) -> Neighbors:
    """For every atom the neighbours up to and including the shell of the ``k``-th nearest one.

    With ``d_k`` the distance of the k-th nearest neighbour of an atom, all neighbours with
    ``d <= d_k + shell_tol`` are kept, so an atom has ``k`` or more.

    The reference first looks within 8 Å and doubles that radius until every atom has ``k``
    neighbours. Its result does not depend on the radius it ended with, so we start from what the
    density suggests and grow as needed, which is the same list for a fraction of the pairs.

    Args:
        cell: the structure.
        k: number of neighbours that the last shell must reach.
        shell_tol: width (Å) within which neighbours count as one shell.

    Raises:
        InputError: an atom has fewer than ``k`` neighbours within 1000 Å.
    """
    volume_per_atom = abs(np.linalg.det(cell.lattice)) / len(cell)
    # A sphere with room for twice the neighbours wanted.
    radius = float((3.0 / (4.0 * np.pi) * 2.0 * (k + 1) * volume_per_atom) ** (1.0 / 3.0))
    while True:
        if radius > LARGEST_RADIUS:
            raise InputError(
                f"an atom has fewer than {k} neighbours within {LARGEST_RADIUS:g} Å", field="coords"
            )
        found = radius_neighbors(cell, radius)
        reach = _kth_distance(found, len(cell), k) + shell_tol
        # A shell that ends beyond the radius may have members that were not looked at.
        if bool((reach <= radius).all()):
            return found.where(found.distance <= reach[found.center])
        widest = reach[np.isfinite(reach)].max(initial=0.0)
        radius = max(1.2 * radius, widest)


def _kth_distance(found: Neighbors, atoms: int, k: int) -> NDArray[np.float64]:
    """Distance of each atom's k-th nearest neighbour ``[N]``, infinite where there is none."""
    count = np.bincount(found.center, minlength=atoms)
    start = np.cumsum(count) - count
    by_distance = np.lexsort((found.distance, found.center))
    kth = np.full(atoms, np.inf)
    enough = count >= k
    kth[enough] = found.distance[by_distance[start[enough] + k - 1]]
    return kth


def check_pairs(cell: Cell, radius: float) -> None:
    """Refuse a structure in which too many atoms and images are within a radius of each other.

    Raises:
        InputError: searching would take all memory.
    """
    most = max(PAIRS, PAIRS_OF_ATOM * len(cell))
    areas = np.linalg.norm(np.cross(cell.lattice[[1, 2, 0]], cell.lattice[[2, 0, 1]]), axis=1)
    thickness = np.abs(np.linalg.det(cell.lattice)) / areas
    # Boxes at least a radius thick, so that what is near lies in the next one at most; where the
    # cell itself is thinner, in one of so many images.
    boxes = np.maximum(1.0, np.floor(thickness / radius))
    images = float(np.prod(2 * np.ceil(radius / thickness) + 1, where=boxes == 1))
    if images * np.prod(3 * boxes, where=boxes > 1) > LOOKS:
        raise InputError(
            f"the cell is {thickness.min():.3g} Å thick and {thickness.max():.3g} Å long: too thin "
            f"for a search within {radius:.3g} Å",
            field="lattice",
        )
    if images * 3.0 ** np.count_nonzero(boxes > 1) * len(cell) ** 2 <= most:
        return
    inside = cell.frac - np.floor(cell.frac)
    boxes = np.minimum(boxes, 2.0**20)
    place = np.minimum((inside * boxes).astype(np.int64), boxes.astype(np.int64) - 1)
    found, count = np.unique(place @ _WEIGHTS, return_counts=True)
    where = np.stack([found // weight % 2**20 for weight in _WEIGHTS], axis=1)
    steps = [(-1, 0, 1) if number > 1 else (0,) for number in boxes]
    pairs = 0.0
    for step in product(*steps):
        key = ((where + step) % boxes.astype(np.int64)) @ _WEIGHTS
        at = np.minimum(np.searchsorted(found, key), len(found) - 1)
        pairs += images * float(count @ np.where(found[at] == key, count[at], 0).astype(float))
    if pairs > most:
        raise InputError(
            f"up to {pairs:.1g} pairs of atoms and periodic images are within {radius:.3g} Å of "
            f"each other, which no crystal of {len(cell)} atoms has",
            field="coords",
        )
