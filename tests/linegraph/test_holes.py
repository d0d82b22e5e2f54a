"""Holes where they are known, and nodes beside a search by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from linegraph.holes import ONE_HOLE, holes, nodes

FACES = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])


def in_cells_around(frac: np.ndarray, many: int) -> np.ndarray:
    """Places, each with its images up to so many cells away, row after row."""
    ranges = [np.arange(-many, many + 1)] * 3
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    return (frac[:, None] + shifts).reshape(-1, 3)


def sorted_rows(frac: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(tuple(row) for row in np.mod(np.round(frac, 6), 1.0).tolist())


@pytest.mark.parametrize("origin", [(0, 0, 0), (0.5, 0.25, 0.75), (0.123, 0.456, 0.789)])
@pytest.mark.parametrize("shear", [(0, 0), (1, 0), (-3, 2)])
def test_the_holes_of_a_face_centred_crystal(
    origin: tuple[float, ...], shear: tuple[int, int]
) -> None:
    """Four octahedra and eight tetrahedra, each once, in any basis and wherever the origin is."""
    rows = np.array([[1, 0, 0], [shear[0], 1, 0], [0, shear[1], 1]])
    frac = (FACES + origin) @ np.linalg.inv(rows)
    found = holes(rows @ (4.0 * np.eye(3)), frac, 5.0) @ rows - origin
    octahedra = FACES + [0.5, 0.5, 0.5]
    tetrahedra = np.array([[x, y, z] for x in (1, 3) for y in (1, 3) for z in (1, 3)]) / 4
    assert sorted_rows(found) == sorted_rows(np.concatenate([octahedra, tetrahedra]))


def test_no_holes_that_are_too_wide() -> None:
    # Octahedra are 2 Å from their corners, tetrahedra 1.73 Å.
    assert len(holes(4.0 * np.eye(3), FACES, 1.9)) == 8
    assert len(holes(4.0 * np.eye(3), FACES, 1.7)) == 0
    assert len(holes(20.0 * np.eye(3), np.zeros((1, 3)), 5.0)) == 0


@pytest.mark.parametrize("seed", range(6))
def test_nodes_are_as_far_from_four_points_as_from_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lattice = 5 * np.eye(3) + rng.normal(0, 1, (3, 3))
    frac = rng.random((6, 3))
    places, volumes = nodes(lattice, frac, 12.0)
    # What the points of all nodes span is the whole cell, but for what is flat.
    assert volumes.sum() == pytest.approx(abs(np.linalg.det(lattice)), rel=1e-3)
    images = in_cells_around(frac, 3) @ lattice
    apart = np.sort(np.linalg.norm(places[:, None] @ lattice - images, axis=2), axis=1)
    np.testing.assert_allclose(apart[:, 3], apart[:, 0], atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_spheres_through_points_far_outside_of_the_cell(seed: int) -> None:
    """Nodes of few points in a flat cell, up to the widest: none is lost at a face."""
    rng = np.random.default_rng(seed)
    lattice, frac = np.diag([9.0, 3.0, 3.0]), rng.random((2, 3))
    _, volumes = nodes(lattice, frac, 30.0)
    assert volumes.sum() == pytest.approx(81.0, rel=1e-3)
    radii = [len(nodes(lattice, frac, widest)[1]) for widest in (30.0, 5.0)]
    assert radii[0] == radii[1]


@pytest.mark.parametrize("seed", [0, 1, 17, 104, 233, 285])
def test_no_more_points_than_within_the_widest_sphere_are_needed(seed: int) -> None:
    """Also where the cell from which nodes are taken begins a little inside."""
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(3, 9, 3)) + rng.normal(0, 0.5, (3, 3))
    frac = rng.random((rng.integers(1, 4), 3))
    places, _ = nodes(lattice, frac, 30.0)
    apart = np.linalg.norm((places[:, None] - in_cells_around(frac, 2)) @ lattice, axis=2)
    _, volumes = nodes(lattice, frac, 1.0001 * apart.min(axis=1).max())
    assert volumes.sum() == pytest.approx(abs(np.linalg.det(lattice)), rel=1e-3)


def test_no_hole_is_there_twice() -> None:
    for seed in range(5):
        found = holes(5 * np.eye(3), np.random.default_rng(seed).random((6, 3)), 5.0)
        apart = found[:, None] - found[None]
        lengths = 5 * np.linalg.norm(apart - np.rint(apart), axis=2)
        assert lengths[np.triu_indices(len(found), 1)].min() > 0.01


def test_an_irregular_hole_has_one_middle() -> None:
    """An octahedron with corners a little off: its nodes lie apart, and make one hole."""
    rng = np.random.default_rng(3)
    frac = FACES + rng.normal(0, 0.01, FACES.shape)
    places, _ = nodes(4.0 * np.eye(3), frac, 5.0)
    found = holes(4.0 * np.eye(3), frac, 5.0)
    assert len(places) > len(found) == 12
    middle = found - FACES[:1] - 0.5
    assert np.linalg.norm((middle - np.rint(middle)) * 4, axis=1).min() < 0.15


@pytest.mark.parametrize("seed", range(4))
def test_each_middle_is_the_mean_of_the_nodes_around_it(seed: int) -> None:
    """Weighted by what their points span; there it stays, and no shift takes it further."""
    rng = np.random.default_rng(seed)
    lattice = 5 * np.eye(3) + rng.normal(0, 0.5, (3, 3))
    frac = rng.random((6, 3))
    places, volumes = nodes(lattice, frac, 5.0)
    every, weights = in_cells_around(places, 2), np.repeat(volumes, 5**3)
    for middle in holes(lattice, frac, 5.0):
        out = (every - middle) @ lattice
        near = np.linalg.norm(out, axis=1) <= ONE_HOLE
        mean = np.average(out[near], axis=0, weights=weights[near])
        np.testing.assert_allclose(mean, 0, atol=1e-5)
