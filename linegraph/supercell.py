"""From a hop to its band: supercell, vacancy, and the ion at five places along the path."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elements import Z_OF
from .errors import InputError
from .hops import Hop
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
        idpp: shape the path by the image-dependent pair potential (Smidstrup et al., J. Chem.
            Phys. 140, 214106 (2014)), with the host fixed, instead of a straight line. Needs ASE.

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
    return _shaped(band) if idpp else band


def closest_approach(band: Cell) -> float:
    """The least distance in Å between the path and an atom of the host, at most 5 Å.

    The path is straight from image to image. Near 0 where it runs through an atom, as that from
    cation to cation along an edge of the rock-salt cube does.
    """
    images = band.cart[:IMAGES]
    steps = np.diff(images, axis=0)
    longest = float(np.linalg.norm(steps, axis=1).max())
    out = _around_path(band, _SHAPING + longest / 2)[None] - images[:-1, None]
    squares = (steps**2).sum(axis=1)[:, None]
    along = (out * steps[:, None]).sum(axis=2)
    # Of two images in one place, the first.
    share = np.divide(along, squares, out=np.zeros_like(along), where=squares > 0).clip(0, 1)
    apart = out - share[..., None] * steps[:, None]
    return float(np.linalg.norm(apart, axis=2).min(initial=_SHAPING))


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


def _around_path(band: Cell, reach: float = _SHAPING) -> NDArray[np.float64]:
    """Cartesian positions ``[K, 3]`` of the host atoms near any image, or on it."""
    host = band.frac[IMAGES:]
    near = [around(band.lattice, host, image, reach) for image in band.frac[:IMAGES]]
    found = np.unique(np.concatenate(near), axis=0)
    places: NDArray[np.float64] = (host[found[:, 0]] + found[:, 1:]) @ band.lattice
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
