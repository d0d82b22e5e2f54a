"""What each image of the ion sees of the host: where the path of a hop becomes a graph."""

from __future__ import annotations

import numpy as np
import torch

from .crystal import graph_of
from .graph import CrystalGraph
from .images import IMAGES
from .neighbors import check_pairs
from .structure import Cell

#: How far an image sees, Å.
REACH = 6.5


def path_graph(
    cell: Cell,
    *,
    reach: float = REACH,
    lattice_decimals: int | None = None,
    dtype: torch.dtype | None = None,
) -> CrystalGraph:
    """Bonds from the atoms of the host to the five images, and to nothing else.

    Unlike in the graphs of nearest shells, images do not see each other, and what an image sees
    does not depend on how many images there are: it changes smoothly along the path.

    Args:
        cell: a band; atoms 0 to 4 are the images.
        reach: length of the longest bond, Å.
        lattice_decimals: see :func:`linegraph.crystal_graph`.
        dtype: see there.

    Returns:
        A graph of all ``N`` atoms of the band, bonds ``[2, E]`` sorted by target: image, then by
        source. Each bond has multiplicity 1; an atom right on the path has a bond of length 0.

    Raises:
        InputError: a structure as no matter is, in which the search would take all memory.
    """
    from vesin import NeighborList

    cell = cell.with_lattice_decimals(lattice_decimals)
    check_pairs(cell, reach)
    # Not radius_neighbors, which leaves out atoms on the site of another.
    search = NeighborList(cutoff=reach, full_list=True)
    image, atom, shift = search.compute(
        points=cell.cart, box=cell.lattice, periodic=True, quantities="ijS"
    )
    seen = (image < IMAGES) & (atom >= IMAGES)
    bonds = np.column_stack([image[seen], atom[seen], shift[seen]]).astype(np.int64)
    bonds = bonds[np.lexsort(bonds.T[::-1])]
    return graph_of(cell, bonds, np.ones(len(bonds), dtype=np.int64), dtype=dtype)
