"""The holes between periodic points: where an ion would have most room in a crystal."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .superlattice import reduced

FloatArray = NDArray[np.float64]

#: Å; nodes nearer than this to the middle of a hole that is no regular polyhedron belong to it.
ONE_HOLE = 0.75

#: Å; a middle that moves less is found, and two that are nearer to each other are one.
_FOUND, _SAME = 1e-6, 1e-2

#: Steps after which a middle is taken for found.
_STEPS = 100

#: In which part of a cell its beginning is looked for.
_WINDOW = 0.1

#: Å³; four points in a plane, or as good as, have no node of their own.
_FLAT = 1e-3


def holes(lattice: FloatArray, frac: FloatArray, widest: float) -> FloatArray:
    """The middles of the holes between periodic points.

    From each node of their Voronoi tessellation (:func:`nodes`) to the mean of those around it,
    weighted by volume, from there to the mean of those around that place, and so on to the middle
    of a hole (mean shift with a flat kernel: Y. Cheng, IEEE Trans. Pattern Anal. Mach. Intell. 17,
    790, 1995). No node goes before another, so that holes are as symmetric as the crystal.

    Args:
        lattice: ``[3, 3]`` rows in Å.
        frac: ``[N, 3]`` fractional coordinates of the points.
        widest: Å; nodes further than this from all points are of no interest.

    Returns:
        ``[K, 3]`` fractional, each hole once.
    """
    from pymatgen.core import Lattice
    from pymatgen.core.lattice import pbc_shortest_vectors
    from scipy.spatial import cKDTree

    small = reduced(lattice)
    inverse = np.linalg.inv(small)
    places, weights = nodes(small, frac @ lattice @ inverse, widest)
    if not len(places):
        return np.zeros((0, 3))
    copies = _with_images(np.mod(places, 1.0), small, ONE_HOLE)
    cloud, shares = copies[:, :3] @ small, weights[copies[:, 3].astype(int)]
    tree = cKDTree(cloud)
    middles = np.mod(places, 1.0) @ small
    for _ in range(_STEPS):
        around = tree.query_ball_point(middles, ONE_HOLE)
        means = np.array([np.average(cloud[own], axis=0, weights=shares[own]) for own in around])
        moved = np.linalg.norm(means - middles, axis=1).max()
        middles = np.mod(means @ inverse, 1.0) @ small
        if moved < _FOUND:
            break
    found, left = [], middles @ inverse
    while len(left):
        found.append(left[0])
        apart = np.linalg.norm(pbc_shortest_vectors(Lattice(small), left[:1], left)[0], axis=1)
        left = left[apart > _SAME]
    return np.array(found) @ small @ np.linalg.inv(lattice)


def nodes(lattice: FloatArray, frac: FloatArray, widest: float) -> tuple[FloatArray, FloatArray]:
    """The nodes of the Voronoi tessellation of periodic points, by its dual (Qhull by scipy).

    Each is the centre of the sphere through four points that has no other point inside. With all
    points that are within a distance of the cell, the spheres around places in it that are smaller
    than that are those of the infinite crystal. Where a sphere goes through more than four points,
    Qhull parts what these span at will: the volumes of the parts add up to the same.

    Args:
        lattice: ``[3, 3]`` rows in Å.
        frac: ``[N, 3]`` fractional coordinates of the points.
        widest: Å; that distance.

    Returns:
        ``[K, 3]`` fractional coordinates, each node in one cell, and the volumes
        ``[K]`` in Å³ that the points of each span.
    """
    from scipy.spatial import Delaunay

    cloud = _with_images(np.mod(frac, 1.0), lattice, widest, _WINDOW)[:, :3] @ lattice
    # Far away are eight more, as Qhull wants more points than a crystal may have.
    far = 10 * (widest + np.abs(lattice).sum()) * np.array(list(product((-1, 1), repeat=3)))
    points = np.concatenate([cloud, far + lattice.sum(axis=0) / 2])
    corners = points[Delaunay(points).simplices]
    edges = corners[:, 1:] - corners[:, :1]
    volumes = np.abs(np.linalg.det(edges)) / 6
    solid = volumes > _FLAT
    edges, volumes, corners = edges[solid], volumes[solid], corners[solid]
    centers = np.linalg.solve(edges, (edges**2).sum(axis=2, keepdims=True) / 2)[..., 0]
    places = (corners[:, 0] + centers) @ np.linalg.inv(lattice)
    useful = np.linalg.norm(centers, axis=1) <= widest
    places, volumes = places[useful], volumes[useful]
    # The cell from which nodes are taken begins where there are none: one on a face would be there
    # twice, or not at all.
    start = np.array([_gap(column) for column in np.mod(places, 1.0).T])
    inside = ((places >= start) & (places < start + 1)).all(axis=1)
    return places[inside], volumes[inside]


def _gap(values: FloatArray) -> float:
    """The middle of the widest gap between values that are from 0 to :data:`_WINDOW`."""
    along = np.sort(np.append(values[values < _WINDOW], [0.0, _WINDOW]))
    widest = int(np.diff(along).argmax())
    return float(along[widest : widest + 2].mean())


def _with_images(
    frac: FloatArray, lattice: FloatArray, margin: float, more: float = 0.0
) -> FloatArray:
    """Points in the cell and those images of them that are nearer than a margin (Å) to the cell.

    Args:
        frac: ``[N, 3]`` fractional coordinates, from 0 to 1 and a little.
        lattice: ``[3, 3]`` rows in Å.
        margin: Å.
        more: of each edge of the cell, how much longer it is.

    Returns:
        ``[M, 4]``: fractional coordinates, and which of the points it is.
    """
    share = margin * np.linalg.norm(np.linalg.inv(lattice), axis=0)
    ranges = [range(-count - 1, count + 2) for count in np.ceil(share).astype(int).tolist()]
    shifts = np.array(list(product(*ranges)))
    every = (frac[None] + shifts[:, None]).reshape(-1, 3)
    kept = ((every >= -share) & (every <= 1 + more + share)).all(axis=1)
    found: FloatArray = np.column_stack([every, np.tile(np.arange(len(frac)), len(shifts))])[kept]
    return found
