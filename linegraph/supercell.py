"""From a hop to its band: supercell, vacancy, and the ion at five places along the path."""

from __future__ import annotations

from importlib import import_module
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elements import Z_OF
from .errors import InputError
from .hops import Hop
from .neighbors import radius_neighbors
from .paths import IMAGES
from .reading import as_cell
from .structure import Cell

#: Å; an ion and its periodic images are this far from each other or further.
MIN_WIDTH = 8.0

#: Å; two ions of one kind are never as near as this.
CROWDED = 2.0

#: Å; an ion within this of where the hop has it is the one meant.
_ON_SITE = 1e-3
#: Å; atoms this near to the path shape it. A pair counts with the fourth power of its distance.
_SHAPING = 5.0
#: Å; an image this near to an atom is not pushed in any direction.
_ON_ATOM = 0.1
#: When the optimiser stops: force, in the units of the potential, and steps.
_FMAX, _STEPS = 0.1, 200
#: Å; so much further than the hop is long are periodic images.
_APART = 0.1
#: Å
_LARGEST_WIDTH = 20.0


def band_of(structure: Any, hop: Hop, min_width: float = MIN_WIDTH, idpp: bool = False) -> Cell:
    """The band of a hop: atoms 0..4 are the images of the ion, initial to final, then the host.

    The supercell is the smallest number of given cells, side by side, in which an ion is at least
    ``min_width`` from all of its periodic images: what counts is the shortest vector of its
    lattice. That is the distance meant, whatever the shape of the cell. Its perpendicular widths
    are never more than that, and less the more oblique it is: asking 8 Å of them takes 64
    primitive cells of LiF or LiCoO2 where 27 are enough. Of several such supercells it is the one
    whose longest edge is the shortest.

    The host lacks the ions at both ends. Next to an end that is an empty site it lacks those
    nearer than :data:`CROWDED`, too: the ion could not get there with them in place.

    Args:
        structure: the structure that the hop was found in.
        hop: one of :func:`linegraph.hops.hops`.
        min_width: Å; where the hop itself is as long, its length and a little more is taken, so
            that its ends stay two sites.
        idpp: shape the path by the image-dependent pair potential (Smidstrup et al., J. Chem.
            Phys. 140, 214106 (2014)), with the host fixed, instead of a straight line. Needs ASE.

    Returns:
        The band. Its images are not wrapped, and on a straight path evenly spaced.

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
    times = _repeats(cell.lattice, max(min_width, hop.length + _APART))
    shifts = np.array(list(product(*map(range, times))))
    frac = ((cell.frac[None] + shifts[:, None]) / times).reshape(-1, 3)
    numbers = np.tile(cell.numbers, len(shifts))
    lattice = cell.lattice * times[:, None]

    ends = np.array([hop.start, hop.end]) / times
    images = ends[0] + np.linspace(0, 1, IMAGES)[:, None] * (ends[1] - ends[0])
    host = np.ones(len(frac), dtype=bool)
    for site, shift in ((hop.initial, (0, 0, 0)), (hop.final, hop.image)):
        if site < len(cell):
            copy = np.ravel_multi_index(tuple(np.mod(shift, times)), tuple(times))
            host[copy * len(cell) + site] = False
    ion = Z_OF[hop.ion]
    band = Cell(
        lattice,
        np.concatenate([images, frac[host]]),
        np.concatenate([np.full(IMAGES, ion), numbers[host]]),
    )
    empty = [
        image for image, site in ((0, hop.initial), (IMAGES - 1, hop.final)) if site >= len(cell)
    ]
    band = _without_crowd(band, empty)
    return _shaped(band) if idpp else band


def closest_approach(band: Cell) -> float:
    """The least distance in Å between an image and an atom of the host, at most 5 Å.

    Near 0 where the path runs through an atom, as that from cation to cation along an edge of the
    rock-salt cube does.
    """
    apart = band.cart[:IMAGES, None] - _around_path(band)[None]
    return float(np.linalg.norm(apart, axis=2).min(initial=_SHAPING))


def _check_hop(cell: Cell, hop: Hop) -> None:
    for site, place, shift in (
        (hop.initial, hop.start, (0, 0, 0)),
        (hop.final, hop.end, hop.image),
    ):
        if site >= len(cell):
            continue
        off = (cell.frac[site] + shift - place) @ cell.lattice
        if cell.numbers[site] != Z_OF[hop.ion] or np.linalg.norm(off) > _ON_SITE:
            raise InputError(
                f"hop {hop.label} is not of this structure: atom {site} is no {hop.ion} at "
                f"{np.round(place, 4).tolist()}",
                field="hop",
            )


def _repeats(lattice: NDArray[np.float64], width: float) -> NDArray[np.int64]:
    """The fewest repeats ``[3]`` of a cell without a lattice vector below the width."""
    point = Cell(lattice, np.zeros((1, 3)), [1])
    found = radius_neighbors(point, width)
    short = found.image[found.distance < width - 1e-6]
    if not len(short):
        return np.ones(3, dtype=np.int64)
    # So many times in all three directions is always enough.
    most = int(np.ceil((width - 1e-6) / found.distance.min())) ** 3
    edges = np.linalg.norm(lattice, axis=1)
    choices = (
        (a, b, c)
        for a in range(1, most + 1)
        for b in range(1, most // a + 1)
        for c in range(1, most // (a * b) + 1)
    )
    for times in sorted(choices, key=lambda n: (prod(n), round(max(n * edges), 6), n)):
        # A vector is one of the supercell if it is a whole number of repeats in each direction.
        if (short % times).any(axis=1).all():
            return np.array(times)
    raise AssertionError("the last choice has no short vector")


def _without_crowd(band: Cell, images: list[int]) -> Cell:
    near = radius_neighbors(band, CROWDED)
    same = band.numbers[near.neighbor] == band.numbers[0]
    crowd = same & np.isin(near.center, images) & (near.neighbor >= IMAGES)
    return band.without(np.unique(near.neighbor[crowd]).tolist())


def _around_path(band: Cell) -> NDArray[np.float64]:
    """Cartesian positions ``[K, 3]`` of the host atoms near any image."""
    near = radius_neighbors(band, _SHAPING)
    near = near.where((near.center < IMAGES) & (near.neighbor >= IMAGES))
    found = np.unique(np.column_stack([near.neighbor, near.image]), axis=0)
    places: NDArray[np.float64] = (band.frac[found[:, 0]] + found[:, 1:]) @ band.lattice
    return places


def _shaped(band: Cell) -> Cell:
    """The band with its images moved to where the IDPP has them."""
    try:
        ase, neb, constraints = map(import_module, ("ase", "ase.mep.neb", "ase.constraints"))
    except ImportError:
        raise InputError("a path by IDPP needs ASE: pip install ase", field="idpp") from None
    # The host stays, so that all that matters are the distances of the ion to the atoms around
    # it: without the periodic cell, and without the many atoms that feel nothing.
    host = _around_path(band)
    path = band.cart[:IMAGES]
    images = [ase.Atoms(f"H{len(host) + 1}", [ion, *host]) for ion in _off_atoms(path, host)]
    for image in images:
        image.set_constraint(constraints.FixAtoms(range(1, len(image))))
    band_of_ase = neb.NEB(images, method="improvedtangent")
    neb.idpp_interpolate(band_of_ase, traj=None, log=None, fmax=_FMAX, steps=_STEPS)
    shaped = np.array([image.positions[0] for image in images])
    frac = shaped @ np.linalg.inv(band.lattice)
    # The ends to the last digit.
    frac[[0, -1]] = band.frac[[0, IMAGES - 1]]
    return Cell(band.lattice, np.concatenate([frac, band.frac[IMAGES:]]), band.numbers)


def _off_atoms(path: NDArray[np.float64], host: NDArray[np.float64]) -> NDArray[np.float64]:
    """The path with images that sit on an atom a little aside, where the potential has a slope."""
    along = path[-1] - path[0]
    aside = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    off = np.linalg.norm(path[:, None] - host[None], axis=2).min(axis=1) < _ON_ATOM
    moved: NDArray[np.float64] = path + np.outer(off, _ON_ATOM * aside / np.linalg.norm(aside))
    return moved
