"""The sites of one ion, in the primitive cell and in the one given, and how symmetry moves them.

The symmetry is that of :mod:`linegraph.primitive_cell`; what follows from it is carried over to the
cell as given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .elements import Z_OF
from .errors import InputError
from .overlap import closest_pair
from .primitive_cell import TOO_NEAR, Crystal
from .special_positions import SAME_PLACE, settled
from .structure import Cell


class Sites(NamedTuple):
    """The sites of one ion: ``n`` in the primitive cell, ``N`` in the given one.

    Attributes:
        cell: the primitive cell with the sites alone, as atoms of the ion; occupied ones first.
        occupied: how many of them hold an ion.
        images: ``[G, n]`` where each operation takes each site, and
        shifts: ``[G, n, 3]`` int64, the cell it gets to.
        number: ``[N]`` of each given site: that of the atom, or, for empty ones, those
            that follow the last atom.
        frac: ``[N, 3]`` fractional coordinates in the given cell.
        copy_of: ``[N]`` the primitive site that each is a copy of,
        offset: ``[N, 3]`` int64, and the primitive cell it lies in.
    """

    cell: Cell
    occupied: int
    images: NDArray[np.int64]
    shifts: NDArray[np.int64]
    number: NDArray[np.int64]
    frac: NDArray[np.float64]
    copy_of: NDArray[np.int64]
    offset: NDArray[np.int64]

    def kinds(self) -> NDArray[np.int64]:
        """``[n]`` the first site that symmetry makes of each."""
        first: NDArray[np.int64] = self.images.min(axis=0)
        return first


def sites_of(given: Cell, crystal: Crystal, ion: str, empty: NDArray[np.float64]) -> Sites:
    """All sites of an ion.

    Args:
        given: the structure that ``crystal`` was made of.
        crystal: see :func:`linegraph.primitive_cell.primitive`.
        ion: element.
        empty: ``[M, 3]`` vacant sites, fractional in the given cell; those equivalent to them are
            added.

    Raises:
        InputError: an empty site too near to an atom or to another one.
    """
    holds = np.flatnonzero(crystal.cell.numbers == Z_OF[ion])
    frac = np.concatenate([crystal.cell.frac[holds], _equivalent(empty @ crystal.periods, crystal)])
    cell = Cell(crystal.cell.lattice, frac, np.full(len(frac), Z_OF[ion]))
    atoms = np.flatnonzero(given.numbers == Z_OF[ion])
    added = np.arange(len(holds), len(frac))
    # One offset for each of the primitive cells that make up the given one.
    offsets = crystal.offset[crystal.kind == 0]
    of = np.repeat(added, len(offsets))
    offset = np.tile(offsets, (len(added), 1))
    places = (frac[of] + offset) @ np.linalg.inv(crystal.periods)
    home = np.floor(places + 1e-9).astype(np.int64)
    return Sites(
        cell,
        len(holds),
        *_moved(cell, crystal),
        np.concatenate([atoms, len(given) + np.arange(len(of))]),
        np.concatenate([given.frac[atoms], places - home]),
        np.concatenate([np.searchsorted(holds, crystal.kind[atoms]), of]),
        np.concatenate([crystal.offset[atoms], offset - home @ crystal.periods]),
    )


def places_given(empty_sites: ArrayLike | None) -> NDArray[np.float64]:
    """Empty sites as a user gives them, ``[M, 3]``: none, one, or several.

    Raises:
        InputError: not three finite numbers for each.
    """
    try:
        empty = np.array([] if empty_sites is None else empty_sites, dtype=np.float64)
        empty = empty.reshape(-1, 3) if empty.size == 0 or empty.shape == (3,) else empty
    except (TypeError, ValueError):
        raise InputError("not an array of numbers", field="empty_sites") from None
    if empty.ndim != 2 or empty.shape[1] != 3 or not np.isfinite(empty).all():
        raise InputError("expected three finite numbers for each site", field="empty_sites")
    return empty


def orbit_of(place: NDArray[np.float64], crystal: Crystal) -> NDArray[np.float64]:
    """The sites ``[K, 3]`` of the primitive cell that symmetry makes of one of them ``[3]``."""
    lattice = crystal.cell.lattice
    middle = settled(place, crystal.moved(place), lattice)
    return _others(crystal.moved(middle), np.zeros((0, 3)), lattice)


def _equivalent(places: NDArray[np.float64], crystal: Crystal) -> NDArray[np.float64]:
    """All empty sites ``[K, 3]`` of the primitive cell, made of some ``[M, 3]`` of them."""
    lattice, atoms = crystal.cell.lattice, crystal.cell.frac
    sites = np.zeros((0, 3))
    for number, place in enumerate(places):
        sites = np.concatenate([sites, _others(orbit_of(place, crystal), sites, lattice)])
        every = np.concatenate([atoms, sites])
        near = closest_pair(Cell(lattice, every, np.ones(len(every))), TOO_NEAR)
        if near:
            what = "an atom" if near[0] < len(atoms) else "another empty site"
            raise InputError(
                f"site {number}, or one equivalent to it, is only {near[2]:.2f} Å from {what}",
                field="empty_sites",
            )
    return sites


def _others(
    places: NDArray[np.float64], known: NDArray[np.float64], lattice: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Those of some places ``[M, 3]`` that are neither known ones nor given twice."""
    kept: list[NDArray[np.float64]] = []
    for place in places:
        apart = place - np.array([*known, *kept]).reshape(-1, 3)
        apart -= np.rint(apart)
        if (np.linalg.norm(apart @ lattice, axis=1) >= SAME_PLACE).all():
            kept.append(place)
    return np.array(kept).reshape(-1, 3)


def _moved(cell: Cell, crystal: Crystal) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where every operation takes every site; see :class:`Sites`."""
    images = np.empty((len(crystal.rotations), len(cell)), dtype=np.int64)
    shifts = np.empty((*images.shape, 3), dtype=np.int64)
    sites = np.arange(len(cell))
    for g, (rotation, translation) in enumerate(
        zip(crystal.rotations, crystal.translations, strict=True)
    ):
        apart = (cell.frac @ rotation.T + translation)[:, None] - cell.frac[None]
        cells = np.rint(apart)
        distance = np.linalg.norm((apart - cells) @ cell.lattice, axis=2)
        images[g] = distance.argmin(axis=1)
        shifts[g] = cells[sites, images[g]]
        if distance[sites, images[g]].max(initial=0.0) > TOO_NEAR / 2:
            raise InputError("the operations of the crystal do not keep its sites", field="symprec")
    return images, shifts
