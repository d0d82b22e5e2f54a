"""Many spheres as one mesh."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Corners of a sphere, from smooth to coarse, and of all spheres of a picture together.
DETAIL, MAX_CORNERS = (162, 66, 12), 40_000


class Mesh(NamedTuple):
    """Triangles.

    Attributes:
        corners: ``[V, 3]`` float32.
        faces: ``[F, 3]`` int32, corners of each, counter-clockwise from outside.
        owner: ``[V]`` int32, the sphere each corner is of.
    """

    corners: NDArray[np.float32]
    faces: NDArray[np.int32]
    owner: NDArray[np.int32]


def detail_for(spheres: int) -> int:
    """How many corners each of so many spheres may have."""
    return next((n for n in DETAIL if n * spheres <= MAX_CORNERS), DETAIL[-1])


def spheres(centers: NDArray[np.float64], radius: float, detail: int) -> Mesh:
    """Spheres of one radius around ``[N, 3]`` centres, ``detail`` corners each."""
    unit, faces = _unit(detail)
    corners = centers[:, None] + radius * unit
    number = np.arange(len(centers))
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        (faces + detail * number[:, None, None]).reshape(-1, 3).astype(np.int32),
        np.repeat(number, detail).astype(np.int32),
    )


def _unit(corners: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Evenly spread points on the unit sphere (a Fibonacci lattice) and their triangles."""
    from scipy.spatial import ConvexHull

    step = np.arange(corners)
    height = 1 - (2 * step + 1) / corners
    turn = np.pi * (1 + np.sqrt(5)) * step
    across = np.sqrt(1 - height**2)
    points = np.column_stack([across * np.cos(turn), across * np.sin(turn), height])
    faces = ConvexHull(points).simplices.astype(np.int64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces
