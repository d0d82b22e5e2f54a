"""Paths bent around atoms by the image-dependent pair potential."""

from __future__ import annotations

from importlib import import_module
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .approach import atoms_around_path
from .errors import InputError
from .images import IMAGES
from .structure import Cell

FloatArray = NDArray[np.float64]

#: Å; an image this near to an atom is not pushed in any direction, and is moved as far aside.
_ON_ATOM = 0.1
#: Å; to which side is decided by the room that there is so far from the path.
_ASIDE = 1.0
#: Atoms next to an image between which there may be a way; those as near as the last count, too.
_NEXT = 8
#: Å; atoms are as near within this, and this far off the line of the path they are beside it.
_AS_NEAR, _BESIDE = 0.05, 0.3
#: When the optimiser stops: force, in the units of the potential, and steps.
_FMAX, _STEPS = 0.1, 200


def bent(band: Cell) -> Cell:
    """The band with its images moved to where the potential has them, with the host fixed.

    S. Smidstrup et al., J. Chem. Phys. 140, 214106 (2014). A pair of atoms counts with the fourth
    power of its distance: those within 5 Å of an image shape the path.

    Raises:
        InputError: there is no ASE.
    """
    try:
        ase, neb, constraints = map(import_module, ("ase", "ase.mep.neb", "ase.constraints"))
    except ImportError:
        raise InputError("a path by IDPP needs ASE: pip install ase", field="idpp") from None
    # The host stays, so that all that matters are the distances of the ion to the atoms around
    # it: without the periodic cell, and without the many atoms that feel nothing.
    host = atoms_around_path(band)
    path = band.cart[:IMAGES]
    images = [ase.Atoms(f"H{len(host) + 1}", [ion, *host]) for ion in off_atoms(path, host)]
    for image in images:
        image.set_constraint(constraints.FixAtoms(range(1, len(image))))
    band_of_ase = neb.NEB(images, method="improvedtangent")
    neb.idpp_interpolate(band_of_ase, traj=None, log=None, fmax=_FMAX, steps=_STEPS)
    shaped = np.array([image.positions[0] for image in images])
    frac = shaped @ np.linalg.inv(band.lattice)
    # The ends to the last digit.
    frac[[0, -1]] = band.frac[[0, IMAGES - 1]]
    return Cell(band.lattice, np.concatenate([frac, band.frac[IMAGES:]]), band.numbers)


def off_atoms(path: FloatArray, host: FloatArray) -> FloatArray:
    """The path with images that sit on an atom a little aside, where the potential has a slope.

    Args:
        path: ``[5, 3]`` Cartesian, Å.
        host: ``[K, 3]`` atoms around it.

    Returns:
        ``[5, 3]``. To which side depends on the atoms around alone, not on how they lie in space:
        of the ways towards, away from and between the atoms next to the image, the one on which it
        has most room.
    """
    along = (path[-1] - path[0]) / np.linalg.norm(path[-1] - path[0])
    moved = path.copy()
    for image in moved:
        apart = np.linalg.norm(host - image, axis=1)
        if apart.min(initial=np.inf) < _ON_ATOM:
            image += _ON_ATOM * _side(along, (host - image)[apart >= _ON_ATOM])
    return moved


def _side(along: FloatArray, around: FloatArray) -> FloatArray:
    """A unit vector ``[3]`` across the path, to where there is most room between atoms."""
    across = around - (around @ along)[:, None] * along
    aside = np.linalg.norm(across, axis=1)
    beside, apart = aside > _BESIDE, np.linalg.norm(around, axis=1)
    if not beside.any():
        any_way = np.cross(along, np.eye(3)[np.abs(along).argmin()])
        return np.asarray(any_way / np.linalg.norm(any_way))
    last = np.sort(apart[beside])[:_NEXT][-1]
    towards = (across / np.maximum(aside, _BESIDE)[:, None])[beside & (apart < last + _AS_NEAR)]
    between = [one + other for one, other in combinations(towards, 2)]
    ways = np.concatenate([towards, np.reshape(between, (-1, 3))])
    lengths = np.linalg.norm(ways, axis=1)
    ways = ways[lengths > 0.1] / lengths[lengths > 0.1][:, None]
    ways = np.concatenate([ways, -ways])
    pushes = np.linalg.norm(around - _ASIDE * ways[:, None], axis=2) ** -4.0
    best: FloatArray = ways[pushes.sum(axis=1).argmin()]
    return best
