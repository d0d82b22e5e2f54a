"""The Voronoi cells of the atoms of a periodic structure, all from one tessellation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .structure import Cell

#: Facets whose solid angle is below this share of the widest one's are rounding, where more than
#: four cells meet in one vertex. Smaller than any facet of the published structures that is not.
SLIVER = 1e-12

#: How far points are looked for first, in cube roots of the volume of an atom: for the cells of
#: several atoms, and for that of one. Most crystals need no more; what they need is checked.
_FIRST_REACH, _FIRST_OF_ONE = 3.0, 2.5

#: Points of one tessellation, for several atoms and for one; more means a cell that is no crystal.
#: The cell of an ion takes up to 80 in the published bands, thousands on a surface.
_MOST_POINTS, _MOST_OF_ONE = 30_000, 10_000


class Facets(NamedTuple):
    """``M`` facets, each between atom ``center[m]`` and atom ``neighbor[m]`` of cell ``image[m]``.

    The definitions are those of pymatgen's ``VoronoiNN``, to rounding.

    Attributes:
        center: ``[M]`` int64, sorted ascending.
        neighbor: ``[M]`` int64.
        image: ``[M, 3]`` int64 lattice translation of the neighbour, relative to the fractional
            coordinates as given.
        solid_angle: ``[M]`` float64, steradian, as seen from the centre.
        area: ``[M]`` float64, Å².
        distance: ``[M]`` float64, Å, from the centre to the plane of the facet: half the distance
            of the two atoms (``face_dist`` of pymatgen).
        volume: ``[M]`` float64, Å³, of the pyramid over the facet with its tip in the centre.
        vertices: ``[M]`` int64, number of vertices of the facet.
        normal: ``[M, 3]`` float64 unit vector from the centre to the neighbour.
    """

    center: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    image: NDArray[np.int64]
    solid_angle: NDArray[np.float64]
    area: NDArray[np.float64]
    distance: NDArray[np.float64]
    volume: NDArray[np.float64]
    vertices: NDArray[np.int64]
    normal: NDArray[np.float64]


@dataclass(frozen=True)
class VoronoiCell:
    """The Voronoi polyhedron of one atom; means are over its facets, each counted once or weighted.

    Attributes:
        coordination: number of facets, which is the number of neighbours that ``VoronoiNN()`` of
            pymatgen counts; facets of rounding alone (:data:`SLIVER`) are not counted. Weighted:
            the inverse of the sum of squared shares of the full solid angle, which is the number
            of facets where all have the same.
        solid_angle: mean solid angle of a facet, steradian (4 pi over ``coordination``).
        facet_area: mean area of a facet, Å².
        facet_distance: mean distance from the atom to the plane of a facet, Å.
        facet_vertices: mean number of vertices of a facet.
        volume: volume of the polyhedron, Å³.
    """

    coordination: float
    solid_angle: float
    facet_area: float
    facet_distance: float
    facet_vertices: float
    volume: float


def voronoi_cell(cell: Cell, site: int, weighted: bool = False) -> VoronoiCell:
    """The Voronoi polyhedron of one atom among all others and their periodic images.

    Args:
        cell: the structure; coordinates may lie outside [0, 1).
        site: which atom.
        weighted: facets count by their solid angles. Where more than four cells meet in a point,
            as in symmetric crystals, the least displacement opens a facet there: with it plain
            means jump, and weighted ones hardly change.

    Raises:
        InputError: the atom shares its site with another one, or the structure is far from any
            crystal (:func:`voronoi_facets`).
    """
    facets = voronoi_facets(cell, [site])
    weights = facets.solid_angle if weighted else None
    share = facets.solid_angle / facets.solid_angle.sum()

    def mean(values: NDArray[Any]) -> float:
        return float(np.average(values, weights=weights))

    return VoronoiCell(
        coordination=float(1 / (share**2).sum() if weighted else len(share)),
        solid_angle=mean(facets.solid_angle),
        facet_area=mean(facets.area),
        facet_distance=mean(facets.distance),
        facet_vertices=mean(facets.vertices),
        volume=float(facets.volume.sum()),
    )


def voronoi_facets(cell: Cell, sites: list[int] | None = None) -> Facets:
    """All facets of the Voronoi cells of some atoms, from one tessellation (Qhull by scipy).

    The tessellation is of the atoms and those images that can matter: a cell is right as soon as
    every point within twice the distance of its furthest vertex is there. pymatgen takes all points
    within 13 Å, which is the same cells for many times the work.

    Args:
        cell: the structure; coordinates may lie outside [0, 1).
        sites: the atoms whose cells are wanted; by default all.

    Raises:
        InputError: an atom shares its site with another one and has no cell of its own, or the
            tessellation takes more than 30,000 points, or 10,000 for the cell of one atom.
    """
    roots = np.arange(len(cell)) if sites is None else np.array(sites, dtype=np.int64)
    spacing = (abs(float(np.linalg.det(cell.lattice))) / len(cell)) ** (1 / 3)
    reach = (_FIRST_OF_ONE if len(roots) == 1 else _FIRST_REACH) * spacing
    while True:
        cloud = _cloud(cell, roots, reach)
        found = _tessellate(cloud, len(roots))
        if found is None:
            reach *= 1.5
        elif found.radius > reach / 2:
            # Too few points make cells too large, so no cell needs more than what it has now, and
            # one that is barely closed far less.
            reach = min(1.5 * reach, 2 * found.radius * (1 + 1e-9))
        else:
            break
    facets = _measure(cloud, roots, found)
    bare = np.setdiff1d(roots, facets.center)
    if len(bare):
        raise InputError(
            f"atom {bare[0]} has no Voronoi cell: another atom is on its site", field="coords"
        )
    return facets


class _Cloud(NamedTuple):
    """Points to tessellate: the roots first, relative to the middle of the roots."""

    points: NDArray[np.float64]
    atom: NDArray[np.int64]
    image: NDArray[np.int64]


class _Ridges(NamedTuple):
    """Facets of the roots' cells, each seen from its root; radius of the furthest vertex, Å."""

    center: NDArray[np.int64]
    other: NDArray[np.int64]
    vertices: list[list[int]]
    positions: NDArray[np.float64]
    radius: float


def _cloud(cell: Cell, roots: NDArray[np.int64], reach: float) -> _Cloud:
    """The roots and all points within a distance of any of them (and some that are further)."""
    floor = np.floor(cell.frac)
    frac = cell.frac - floor
    # 1 / the distance of opposite faces: how far in fractional coordinates 1 Å can lead.
    per_length = np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)
    low = frac[roots].min(axis=0) - reach * per_length
    high = frac[roots].max(axis=0) + reach * per_length
    first, last = np.floor(low).astype(int), np.floor(high).astype(int)
    if float(np.prod(last - first + 1.0)) * len(cell) > 100 * _MOST_POINTS:
        raise InputError("too sparse or too flat for a Voronoi tessellation", field="lattice")
    ranges = (np.arange(a, b + 1) for a, b in zip(first, last, strict=True))
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    everywhere = frac + shifts[:, None]
    inside = ((everywhere >= low) & (everywhere <= high)).all(axis=2)
    inside[np.ix_((shifts == 0).all(axis=1), roots)] = False
    shift, atom = np.nonzero(inside)
    atoms = np.concatenate([roots, atom])
    images = np.concatenate([np.zeros((len(roots), 3), dtype=np.int64), shifts[shift]])
    points = (frac[atoms] + images - frac[roots].mean(axis=0)) @ cell.lattice
    if len(roots) == 1:
        # The box around the sphere holds twice as many points, or more where it is skewed.
        near = np.linalg.norm(points, axis=1) <= reach
        points, atoms, images = points[near], atoms[near], images[near]
    if len(points) > (_MOST_OF_ONE if len(roots) == 1 else _MOST_POINTS):
        raise InputError("too sparse or too flat for a Voronoi tessellation", field="lattice")
    return _Cloud(points, atoms, images - floor[atoms].astype(np.int64))


def _tessellate(cloud: _Cloud, roots: int) -> _Ridges | None:
    """The facets of the first points' cells; None if one of the cells is not closed."""
    from scipy.spatial import QhullError, Voronoi

    try:
        voronoi = Voronoi(cloud.points)
    except QhullError:
        return None
    pairs = voronoi.ridge_points
    centers, others, ridges = [], [], []
    for side in (0, 1):
        (mine,) = np.nonzero(pairs[:, side] < roots)
        centers.append(pairs[mine, side])
        others.append(pairs[mine, 1 - side])
        ridges += [voronoi.ridge_vertices[m] for m in mine]
    if not ridges or any(-1 in ridge for ridge in ridges):
        return None
    center, other = np.concatenate(centers), np.concatenate(others)
    corner, facet = _flat(ridges)
    apart = voronoi.vertices[corner] - cloud.points[center[facet]]
    radius = float(np.linalg.norm(apart, axis=1).max())
    return _Ridges(center, other, ridges, voronoi.vertices, radius)


def _flat(lists: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All entries of some lists, and which list each one is of."""
    sizes = [len(entries) for entries in lists]
    flat = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=sum(sizes))
    return flat, np.repeat(np.arange(len(lists)), sizes)


def _measure(cloud: _Cloud, roots: NDArray[np.int64], ridges: _Ridges) -> Facets:
    """Sizes of facets, summed over the triangles that each one is cut into."""
    fans = [
        [v for i in range(1, len(ridge) - 1) for v in (ridge[0], ridge[i], ridge[i + 1])]
        for ridge in ridges.vertices
    ]
    corner, owner = _flat(fans)
    facet = owner[::3]
    middle = cloud.points[ridges.center]
    a, b, c = np.moveaxis((ridges.positions[corner] - middle[owner]).reshape(-1, 3, 3), 1, 0)
    triple = np.abs(np.einsum("ij,ij->i", a, np.cross(b, c)))
    count = len(ridges.center)
    volume = np.bincount(facet, triple / 6, count)
    solid_angle = np.bincount(facet, _solid_angles(a, b, c, triple), count)
    apart = cloud.points[ridges.other] - middle
    length = np.linalg.norm(apart, axis=1)
    widest = np.zeros(len(roots))
    np.maximum.at(widest, ridges.center, solid_angle)
    order = np.lexsort((length, roots[ridges.center]))
    order = order[(solid_angle > SLIVER * widest[ridges.center])[order]]
    sizes = np.array([len(ridge) for ridge in ridges.vertices], dtype=np.int64)
    columns: dict[str, NDArray[Any]] = {
        "center": roots[ridges.center],
        "neighbor": cloud.atom[ridges.other],
        "image": cloud.image[ridges.other] - cloud.image[ridges.center],
        "solid_angle": solid_angle,
        "area": 6 * volume / length,
        "distance": length / 2,
        "volume": volume,
        "vertices": sizes,
        "normal": apart / length[:, None],
    }
    return Facets(**{name: values[order] for name, values in columns.items()})


def _solid_angles(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
    triple: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solid angles of triangles seen from the origin: A. van Oosterom and J. Strackee (1983)."""
    ra, rb, rc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    dot_ab, dot_bc, dot_ca = (np.einsum("ij,ij->i", x, y) for x, y in ((a, b), (b, c), (c, a)))
    angles: NDArray[np.float64] = 2 * np.arctan2(
        triple, ra * rb * rc + rc * dot_ab + rb * dot_ca + ra * dot_bc
    )
    return angles
