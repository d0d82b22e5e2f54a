"""From a hop to its band: supercell, vacancy, and the ion at five places along the path."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elements import Z_OF
from .errors import InputError
from .hops import Hop
from .idpp import bent
from .paths import IMAGES
from .primitive_cell import Crystal, primitive
from .reading import as_cell
from .structure import Cell
from .superlattice import SEEN, around, emptiest, reduced, squarest, superlattices

#: Å; an ion and its periodic images are this far from each other or further.
MIN_WIDTH = 8.0

#: Å; two ions of one kind are never as near as this.
CROWDED = 2.0

#: Å; an ion within this of where the hop has it is the one meant.
_ON_SITE = 1e-3
#: Å; so much further than the hop is long are periodic images.
_APART = 0.1
#: Å
_LARGEST_WIDTH = 20.0
#: Å; tolerance for symmetry, that of :func:`linegraph.hops.hops`.
_SYMPREC = 1e-2
#: Crystals whose superlattices are kept: all hops of one come together.
_KEPT = 8


def band_of(structure: Any, hop: Hop, min_width: float = MIN_WIDTH, idpp: bool = False) -> Cell:
    """The band of a hop: atoms 0..4 are the images of the ion, initial to final, then the host.

    The supercell has as few atoms as a periodic cell of the crystal can have in which an ion is at
    least ``min_width`` from all of its periodic images: what counts is the shortest vector of its
    lattice. That is the distance meant, whatever the shape of the cell. Its perpendicular widths
    are never more than that. Of several such supercells it is the one with the longest shortest
    vector, then the one most like a cube, then the one in which the vacancies are the farthest from
    the periodic images of the path (:mod:`linegraph.superlattice`).

    It is made of the primitive cell, so that it depends on the crystal and the hop alone: the band
    is the same, up to its order of atoms and how it lies in space, however the cell of the
    structure was chosen, and for all hops that symmetry makes one. Where the given cell holds
    several primitive ones that differ by less than the tolerance of :func:`linegraph.hops.hops`,
    the host is their mean.

    The host lacks the ions at both ends. Next to an end that is an empty site it lacks those
    nearer than :data:`CROWDED`, too: the ion could not get there with them in place.

    Args:
        structure: the structure that the hop was found in.
        hop: one of :func:`linegraph.hops.hops`.
        min_width: Å; where the hop itself is as long, its length and a little more is taken, so
            that its ends stay two sites.
        idpp: bend the path around atoms (:func:`linegraph.idpp.bent`) instead of a straight line.
            Needs ASE.

    Returns:
        The band, in the orientation of the structure. Its images are where the hop has them, not
        wrapped, and on a straight path evenly spaced.

    Raises:
        InputError: an unusable structure, a hop of another one, a width out of range, or no ASE.
    """
    if not 0 < min_width <= _LARGEST_WIDTH:
        raise InputError(
            f"expected more than 0 and at most {_LARGEST_WIDTH:g} Å, got {min_width}",
            field="min_width",
        )
    cell = as_cell(structure)
    _check_hop(cell, hop)
    crystal = _crystal(cell)
    path: NDArray[np.float64] = np.array([hop.start, hop.end]) @ crystal.periods
    gone = _vacancies(len(cell), crystal, hop, path)
    width = max(min_width, hop.length + _APART)
    large = squarest(_superlattice(crystal, path, gone, width), cell.lattice)
    periods = np.rint(large @ np.linalg.inv(crystal.cell.lattice)).astype(np.int64)
    host = _host(crystal._replace(periods=periods), gone)

    ends = path @ np.linalg.inv(periods)
    images = ends[0] + np.linspace(0, 1, IMAGES)[:, None] * (ends[1] - ends[0])
    band = Cell(
        host.lattice,
        np.concatenate([images, host.frac]),
        np.concatenate([np.full(IMAGES, Z_OF[hop.ion]), host.numbers]),
    )
    return bent(band) if idpp else band


def _check_hop(cell: Cell, hop: Hop) -> None:
    ends = ((hop.initial, hop.start, (0, 0, 0)), (hop.final, hop.end, hop.image))
    for (site, place, shift), empty in zip(ends, hop.empty, strict=True):
        if (site >= len(cell)) != empty:
            what = f"an empty site, but atom {site}" if empty else f"atom {site} of {len(cell)}"
            raise InputError(f"hop {hop.label} is not of this structure: {what}", field="hop")
        if empty:
            continue
        off = (cell.frac[site] + shift - place) @ cell.lattice
        if cell.numbers[site] != Z_OF[hop.ion] or np.linalg.norm(off) > _ON_SITE:
            raise InputError(
                f"hop {hop.label} is not of this structure: atom {site} is no {hop.ion} at "
                f"{np.round(place, 4).tolist()}",
                field="hop",
            )


def _crystal(cell: Cell) -> Crystal:
    """The primitive cell of a structure, its atoms at the mean of their copies."""
    try:
        crystal = primitive(cell, _SYMPREC)
    except InputError:
        # Hops were found with another tolerance then: the cell as given will do.
        small = reduced(cell.lattice)
        periods = np.rint(cell.lattice @ np.linalg.inv(small)).astype(np.int64)
        zero = np.zeros((len(cell), 3), dtype=np.int64)
        one = Cell(small, cell.frac @ periods, cell.numbers)
        unmoved = np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))
        return Crystal(one, *unmoved, np.arange(len(cell)), zero, periods)
    homes = cell.frac @ crystal.periods - crystal.offset
    copies = len(cell) // len(crystal.cell)
    frac = homes[np.argsort(crystal.kind, kind="stable")].reshape(-1, copies, 3).mean(axis=1)
    return crystal._replace(cell=Cell(crystal.cell.lattice, frac, crystal.cell.numbers))


@lru_cache(maxsize=_KEPT)
def _superlattices(lattice: bytes, width: float) -> NDArray[np.float64]:
    return superlattices(np.frombuffer(lattice).reshape(3, 3), width)


def _vacancies(
    atoms: int, crystal: Crystal, hop: Hop, path: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Sites of the primitive cell that are empty in the band, rows ``(atom, *cell)``, ``[R, 4]``.

    Args:
        atoms: of the given cell; what is numbered beyond is an empty site.
        crystal: the primitive cell.
        hop: see :func:`band_of`.
        path: ``[2, 3]`` its ends, fractional in the primitive cell.
    """
    gone = []
    ends = ((hop.initial, (0, 0, 0)), (hop.final, hop.image))
    for place, (site, image) in zip(path, ends, strict=True):
        if site < atoms:
            offset = crystal.offset[site] + np.array(image) @ crystal.periods
            gone.append(np.array([[crystal.kind[site], *offset]]))
            continue
        near = around(crystal.cell.lattice, crystal.cell.frac, place, CROWDED)
        gone.append(near[crystal.cell.numbers[near[:, 0]] == Z_OF[hop.ion]])
    return np.concatenate(gone)


def _superlattice(
    crystal: Crystal, path: NDArray[np.float64], gone: NDArray[np.int64], width: float
) -> NDArray[np.float64]:
    """The reduced superlattice for a path ``[2, 3]`` and vacancies ``[R, 4]``."""
    cell = crystal.cell
    choices = _superlattices(cell.lattice.tobytes(), width)
    if len(choices) == 1:
        only: NDArray[np.float64] = choices[0]
        return only
    near = around(cell.lattice, cell.frac, path.mean(axis=0), SEEN)

    def places(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        cart: NDArray[np.float64] = (cell.frac[rows[:, 0]] + rows[:, 1:]) @ cell.lattice
        return cart

    weight = cell.numbers[near[:, 0]].astype(np.float64)
    steps = np.linspace(0, 1, IMAGES)[:, None]
    images = (path[0] + steps * (path[1] - path[0])) @ cell.lattice
    return emptiest(choices, images, places(gone), places(near), weight)


def _host(crystal: Crystal, gone: NDArray[np.int64]) -> Cell:
    """The primitive cell repeated up to its periods, without the vacancies ``[R, 4]``."""
    edges = np.array(list(product((0, 1), repeat=3))) @ crystal.periods
    ranges = (
        np.arange(low, high + 1) for low, high in zip(edges.min(0), edges.max(0), strict=True)
    )
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = cells[~crystal.in_periods(cells).any(axis=1)]
    kind = np.tile(np.arange(len(crystal.cell)), len(cells))
    offset = np.repeat(cells, len(crystal.cell), axis=0)
    there = ~np.isin(crystal.codes(kind, offset), crystal.codes(gone[:, 0], gone[:, 1:]))
    kind, offset = kind[there], offset[there]
    frac = (crystal.cell.frac[kind] + offset) @ np.linalg.inv(crystal.periods)
    return Cell(
        crystal.periods @ crystal.cell.lattice,
        frac - np.floor(frac + 1e-9),
        crystal.cell.numbers[kind],
    )
