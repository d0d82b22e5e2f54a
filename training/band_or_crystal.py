"""Whether a structure that nothing is said of is a band or a crystal."""

from __future__ import annotations

import numpy as np

from linegraph.elements import SYMBOLS
from linegraph.hops import USUAL_IONS
from linegraph.image_order import lengths_of_orders
from linegraph.structure import Cell
from linegraph.superlattice import around
from linegraph.unwrapping import unwrapped

from .bands import IMAGES

#: Å; images are nearer to the next one than this (published ones: 0.38 to 2.24 Å), and hardly
#: ever are five ions of a crystal, one after the other.
STEP = 2.3

#: How many times as long as the distance of its furthest images a path may be. Published ones are
#: straight; half a circle has 1.57, five corners of a cube 2.3.
CURVED = 1.6

#: Where ions of the host are as near to an end as this many steps, images and ions are all sites.
#: So is one alone in two published bands, by mistake, and none is within 1.4 steps otherwise.
_AS_NEAR, _SEVERAL = 1.1, 2


def looks_like_band(cell: Cell, ion: str | None = None) -> bool:
    """Whether the first five atoms are one mobile ion on its way.

    They are of one element, a usual ion (:data:`linegraph.hops.USUAL_IONS`) or the one named, and
    each is nearer than :data:`STEP` to the next (:func:`linegraph.unwrapping.unwrapped`). In the
    best order they are a path from one place to another, and other ions keep away from its ends:
    the lithium of Li2O, say, is as near to each other, but on a cubic lattice.
    """
    if len(cell) < IMAGES or len(set(cell.numbers[:IMAGES].tolist())) > 1:
        return False
    if SYMBOLS[cell.numbers[0] - 1] not in (*USUAL_IONS, ion):
        return False
    band = unwrapped(cell)
    images = band.cart[:IMAGES]
    apart = np.linalg.norm(images[:, None] - images[None], axis=2)
    longest = float(apart[range(IMAGES - 1), range(1, IMAGES)].max())
    if longest >= STEP or lengths_of_orders(apart).min() > CURVED * apart.max():
        return False
    others = band.frac[IMAGES:][band.numbers[IMAGES:] == band.numbers[0]]
    ends = (band.frac[0], band.frac[IMAGES - 1])
    near = (around(band.lattice, others, end, _AS_NEAR * longest) for end in ends)
    return len(others) == 0 or all(len(found) < _SEVERAL for found in near)
