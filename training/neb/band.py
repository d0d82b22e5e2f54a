"""The structures along a band, and how they follow when its ends are relaxed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linegraph.ends import Ends
from linegraph.errors import InputError
from linegraph.structure import Cell
from linegraph.unwrapping import shortest_ways, unwrapped
from training.bands import IMAGES, Band
from training.spread import evenly

FloatArray = NDArray[np.float64]

#: A host atom that lies so far apart (Å) in the two ends is worth a word.
_FAR = 1.0


@dataclass(frozen=True, eq=False)
class Path:
    """The images of one hop, all in one cell.

    Attributes:
        cell: ``[3, 3]`` lattice vectors in rows, Å.
        numbers: ``[N]`` atomic numbers; atom 0 is the ion, the host follows.
        places: ``[images, N, 3]`` Cartesian positions in Å, not wrapped: every atom goes from image
            to image by the short way.
        note: what was done to the record to get there; empty if nothing.
    """

    cell: FloatArray
    numbers: NDArray[np.int64]
    places: FloatArray
    note: str = ""

    def between(self, initial: FloatArray, final: FloatArray) -> FloatArray:
        """The images after the ends have moved.

        What the ends have moved by is interpolated along the path and added to every image. The
        published paths are straight lines: of these it makes the straight line between the moved
        ends, as the published procedure does, and it keeps the bends of any other.

        Args:
            initial: ``[N, 3]`` positions of the initial end, Å, not wrapped.
            final: those of the final end.

        Returns:
            ``[images, N, 3]`` positions, Å.
        """
        way = np.linspace(0.0, 1.0, len(self.places))[:, None, None]
        first, last = initial - self.places[0], final - self.places[-1]
        moved: FloatArray = self.places + (1 - way) * first + way * last
        return moved


def path_of(band: Band, images: int = IMAGES) -> Path:
    """The images of a record.

    Of a band, the ion is where its images are and the host is the same in all of them. Of two
    ends, every atom goes in a straight line, by the short way.

    Args:
        band: the record.
        images: their number with both ends. Five are those of a band as given; any other number
            is spread evenly over the path through them.

    Raises:
        InputError: fewer than three images, or ends whose atoms are not the same.
    """
    if images < 3:
        raise InputError(
            f"is {images}, but a band has two ends and something between", field="images"
        )
    way = np.linspace(0.0, 1.0, images)
    if isinstance(band.cell, Ends):
        return _of_ends(band.cell, way)
    cell = band.cell
    given = unwrapped(cell).frac[:IMAGES]
    ion = (given if images == IMAGES else evenly(given, cell.lattice, images)) @ cell.lattice
    host = np.broadcast_to(cell.cart[None, IMAGES:], (images, len(cell) - IMAGES, 3))
    places = np.concatenate([ion[:, None], host], axis=1)
    return Path(cell.lattice, np.delete(cell.numbers, slice(1, IMAGES)), places)


def _of_ends(ends: Ends[Cell], way: FloatArray) -> Path:
    initial, final = ends
    notes = []
    strain = float(np.abs(final.lattice - initial.lattice).max())
    if strain > 0:
        notes.append(
            f"the initial cell imposed on the final structure (entries differ by up to "
            f"{strain:.3g} Å)"
        )
    frac = final.frac
    if not np.array_equal(initial.numbers, final.numbers):
        order = _paired(initial, final)
        frac = frac[order]
        notes.append("atoms of the final structure reordered to pair with the initial ones")
    start, end = initial.cart, frac @ initial.lattice
    step = _short(end - start, initial.lattice)
    if np.linalg.norm(step[0] - (end - start)[0]) > 1e-6:
        notes.append("the ion takes the short way across the cell")
    far = np.linalg.norm(step[1:], axis=1)
    if far.max(initial=0.0) > _FAR:
        notes.append(f"host atom {far.argmax() + 1} moves {far.max():.1f} Å between the ends")
    places = start[None] + way[:, None, None] * step[None]
    return Path(initial.lattice, initial.numbers, places, "; ".join(notes))


def _paired(initial: Cell, final: Cell) -> NDArray[np.int64]:
    """For each initial atom, the final one nearest to it: of its element, each taken once."""
    from scipy.optimize import linear_sum_assignment

    if sorted(initial.numbers) != sorted(final.numbers) or initial.numbers[0] != final.numbers[0]:
        raise InputError("the two ends are not made of the same atoms", field="final.elements")
    steps = ((final.frac[None, 1:] @ initial.lattice) - initial.cart[1:, None]).reshape(-1, 3)
    apart = np.linalg.norm(_short(steps, initial.lattice), axis=1)
    other = initial.numbers[1:, None] != final.numbers[None, 1:]
    _, columns = linear_sum_assignment(np.where(other, 1e6, apart.reshape(other.shape)))
    return np.concatenate([[0], columns + 1])


def _short(vectors: FloatArray, lattice: FloatArray) -> FloatArray:
    """The shortest of all periodic images of each vector ``[n, 3]``."""
    steps = vectors @ np.linalg.inv(lattice)
    short: FloatArray = (steps + shortest_ways(steps, lattice)) @ lattice
    return short
