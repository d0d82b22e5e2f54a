"""How near an ion on its path comes to the atoms of the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .images import IMAGES
from .structure import Cell
from .superlattice import around

#: Å; atoms further away are not looked for.
FARTHEST = 5.0


class Room(NamedTuple):
    """The distance to the nearest atom of the host, Å; at most :data:`FARTHEST`.

    Attributes:
        initial: of the first image.
        path: the least on the way.
        final: of the last image.
    """

    initial: float
    path: float
    final: float


def closest_approach(band: Cell) -> float:
    """The least distance in Å between the path and an atom of the host, at most 5 Å.

    The path is straight from image to image. Near 0 where it runs through an atom, as that from
    cation to cation along an edge of the rock-salt cube does.
    """
    images = band.cart[:IMAGES]
    steps = np.diff(images, axis=0)
    longest = float(np.linalg.norm(steps, axis=1).max())
    out = atoms_around_path(band, FARTHEST + longest / 2)[None] - images[:-1, None]
    squares = (steps**2).sum(axis=1)[:, None]
    along = (out * steps[:, None]).sum(axis=2)
    # Of two images in one place, the first.
    share = np.divide(along, squares, out=np.zeros_like(along), where=squares > 0).clip(0, 1)
    apart = out - share[..., None] * steps[:, None]
    return float(np.linalg.norm(apart, axis=2).min(initial=FARTHEST))


def room_of(band: Cell) -> Room:
    """The room that an ion has at both ends of its path and in between.

    With the length of a hop, this tells it from others of the crystal, and its directions from each
    other, whatever the order of atoms is.
    """
    ends = band.cart[[0, IMAGES - 1]]
    apart = np.linalg.norm(atoms_around_path(band) - ends[:, None], axis=2)
    initial, final = apart.min(axis=1, initial=FARTHEST).tolist()
    return Room(initial, closest_approach(band), final)


def atoms_around_path(band: Cell, reach: float = FARTHEST) -> NDArray[np.float64]:
    """Cartesian positions ``[K, 3]`` of the host atoms near any image (Å), or on it."""
    host = band.frac[IMAGES:]
    near = [around(band.lattice, host, image, reach) for image in band.frac[:IMAGES]]
    found = np.unique(np.concatenate(near), axis=0)
    places: NDArray[np.float64] = (host[found[:, 0]] + found[:, 1:]) @ band.lattice
    return places
