"""Where things are in a picture of a crystal: atoms, sites and hops, with their periodic images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import Z_OF
from linegraph.equivalents import equivalent_paths
from linegraph.paths import IMAGES
from linegraph.predicted import HopBarrier, Prediction
from linegraph.structure import Cell

#: Å; what is this near to a face of the cell is on it, and shown at the opposite face, too.
ON_FACE = 0.05

#: Lines of hops in one picture, and atoms; what is beyond is left out.
MAX_LINES, MAX_ATOMS = 20_000, 5_000

#: Å; places this near to each other are one site.
_SAME = 0.1

#: Å; along shorter edges two cells are shown, in which a network is easier to see.
SHORT_EDGE = 3.5

_CORNERS = np.array(list(product((0, 1), repeat=3)))

Places = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """A crystal as it is drawn; all places Cartesian, in Å.

    Attributes:
        edges: ``[12, 2, 3]`` of one unit cell.
        atoms: ``[A]`` number of each atom shown; those on a face of the cell are there twice.
        places: ``[A, 3]`` where it is. Along short edges there are two cells of them.
        hops: for each hop that is drawn, its position in the prediction.
        lines: for each of these ``[K, 5, 3]``, the images of the ion in all copies of the hop that
            begin or end in the cells shown, or connect sites on their faces.
        empty: ``[E, 3]`` empty sites in these cells.
        outside: ``[G, 3]`` sites outside of them that hops lead to.
        atoms_left_out: how many atoms of the host there would be more.
    """

    edges: Places
    atoms: NDArray[np.int64]
    places: Places
    hops: tuple[int, ...]
    lines: tuple[Places, ...]
    empty: Places
    outside: Places
    atoms_left_out: int


def network_of(prediction: Prediction) -> Network:
    """Lay out the structure and all equivalents of its hops.

    Where a picture would hold more than :data:`MAX_LINES` lines, the hops of the highest barriers
    are left out, all copies of them; of more than :data:`MAX_ATOMS` atoms, those of the host that
    come last.

    Raises:
        InputError: see :func:`linegraph.equivalents.equivalent_paths`.
    """
    cell = prediction.cell
    paths = [_path(row, cell) for row in prediction.hops]
    copies = [_shown(found, cell) for found in equivalent_paths(cell, paths)]
    drawn = _within([len(found) for found in copies], prediction.hops)
    atoms, frac = _atoms(cell)
    keep = _most_wanted(cell.numbers[atoms] == Z_OF[prediction.ion])
    empty, outside = _further_sites([copies[i] for i in drawn], drawn, prediction)
    return Network(
        _edges(cell),
        atoms[keep],
        frac[keep] @ cell.lattice,
        tuple(drawn),
        tuple(copies[i] @ cell.lattice for i in drawn),
        empty @ cell.lattice,
        outside @ cell.lattice,
        len(atoms) - len(keep),
    )


def _path(row: HopBarrier, cell: Cell) -> Places:
    """Images ``[5, 3]`` of a hop, fractional in the given cell."""
    path: Places = row.band.cart[:IMAGES] @ np.linalg.inv(cell.lattice)
    return path


def _tolerance(cell: Cell) -> Places:
    """:data:`ON_FACE` as a fraction of each edge."""
    # Of the heights over the faces: that is how far the faces are apart.
    heights: Places = 1 / np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)
    return ON_FACE / heights


def _times(cell: Cell) -> NDArray[np.int64]:
    """How many cells ``[3]`` are shown along each edge."""
    return np.where(np.linalg.norm(cell.lattice, axis=1) < SHORT_EDGE, 2, 1)


def _shown(paths: Places, cell: Cell) -> Places:
    """The periodic images ``[K, 5, 3]`` of paths that are drawn."""
    tolerance, times = _tolerance(cell), _times(cell)
    start, end = paths[:, 0], paths[:, -1]
    home, there = np.floor(start + tolerance), np.floor(end + tolerance)
    # Of every path more than are needed: the rest is sorted out below.
    to = _cells(times + 1)
    shifts = np.concatenate([to - home[:, None], to - there[:, None]], axis=1)
    starts, ends = start[:, None] + shifts, end[:, None] + shifts
    begins, leads = (_inside(x, times, tolerance, faces=False) for x in (starts, ends))
    on_both = _inside(starts, times, tolerance) & _inside(ends, times, tolerance)
    which, number = np.nonzero(begins | leads | on_both)
    rows = np.column_stack([which, shifts[which, number]])
    rows = np.unique(rows.astype(np.int64), axis=0)
    images: Places = paths[rows[:, 0]] + rows[:, None, 1:]
    return images


def _inside(
    frac: Places, times: NDArray[np.int64], tolerance: Places, *, faces: bool = True
) -> NDArray[np.bool_]:
    """Whether places ``[..., 3]`` are in the cells shown, or on the far faces of these."""
    upper = times + (tolerance if faces else -tolerance)
    return np.asarray(((frac >= -tolerance) & (frac < upper)).all(axis=-1))


def _cells(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array(list(product(*map(range, times))))


def _atoms(cell: Cell) -> tuple[NDArray[np.int64], Places]:
    tolerance, times = _tolerance(cell), _times(cell)
    home = cell.frac - np.floor(cell.frac + tolerance)
    images = home[:, None] + _cells(times + 1)
    atoms, number = np.nonzero(_inside(images, times, tolerance))
    return atoms, images[atoms, number]


def _edges(cell: Cell) -> Places:
    pairs = [
        (one, one + step) for one in _CORNERS for step in np.eye(3, dtype=int) if not (one @ step)
    ]
    edges: Places = np.array(pairs) @ cell.lattice
    return edges


def _within(sizes: Sequence[int], rows: Sequence[HopBarrier]) -> list[int]:
    """Positions of the hops of lowest barrier that together have few enough lines."""
    lowest = sorted(range(len(rows)), key=lambda i: rows[i].barrier.value)
    total = np.cumsum([sizes[i] for i in lowest])
    return sorted(lowest[: max(1, int((total <= MAX_LINES).sum()))])


def _most_wanted(is_ion: NDArray[np.bool_]) -> NDArray[np.int64]:
    if len(is_ion) <= MAX_ATOMS:
        return np.arange(len(is_ion))
    return np.sort(np.argsort(~is_ion, kind="stable")[:MAX_ATOMS])


def _further_sites(
    copies: Sequence[Places], drawn: Sequence[int], prediction: Prediction
) -> tuple[Places, Places]:
    """Fractional places of empty sites in the cell, and of sites outside, each once."""
    cell = prediction.cell
    ends, is_empty = [np.zeros((0, 3))], [np.zeros(0, dtype=bool)]
    for i, paths in zip(drawn, copies, strict=True):
        hop = prediction.hops[i].hop
        for site, places in ((hop.initial, paths[:, 0]), (hop.final, paths[:, -1])):
            ends.append(places)
            is_empty.append(np.full(len(places), site >= len(cell)))
    places, empty = np.concatenate(ends), np.concatenate(is_empty)
    inside = _inside(places, _times(cell), _tolerance(cell))
    return _once(places[inside & empty], cell), _once(places[~inside], cell)


def _once(places: Places, cell: Cell) -> Places:
    rounded = np.rint(places @ cell.lattice / _SAME).astype(np.int64)
    _, first = np.unique(rounded, axis=0, return_index=True)
    return places[np.sort(first)]
