"""Voronoi cells: known ones, those of pymatgen, and where there are none."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest

from linegraph.errors import InputError
from linegraph.structure import Cell
from linegraph.voronoi import voronoi_cell, voronoi_facets
from tests.crystals import random_cell

#: Two atoms on one site and one elsewhere.
DOUBLED = Cell(4 * np.eye(3), [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5]], [3, 3, 8])


def volume(cell: Cell) -> float:
    return abs(float(np.linalg.det(cell.lattice)))


def test_simple_cubic() -> None:
    found = voronoi_cell(Cell(3.0 * np.eye(3), [[0.2, 7.3, -1.1]], [3]), 0)
    assert astuple(found) == pytest.approx((6, 4 * math.pi / 6, 9.0, 1.5, 4, 27.0))


def test_body_centred_cubic() -> None:
    cell = Cell(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    found = voronoi_cell(cell, 1)
    # The truncated octahedron: 8 hexagons half a bond away, 6 squares half an edge away.
    assert found.coordination == 14
    assert found.facet_vertices == pytest.approx((8 * 6 + 6 * 4) / 14)
    assert found.facet_distance == pytest.approx((8 * math.sqrt(3) + 6 * 2) / 14)
    assert found.volume == pytest.approx(32)


def test_facets_by_their_solid_angles() -> None:
    cube = Cell(3.0 * np.eye(3), [[0.2, 7.3, -1.1]], [3])
    assert astuple(voronoi_cell(cube, 0, weighted=True)) == pytest.approx(
        astuple(voronoi_cell(cube, 0))
    )
    cell = random_cell(1, atoms=5)
    found, facets = voronoi_cell(cell, 2, weighted=True), voronoi_facets(cell, [2])
    share = facets.solid_angle / (4 * math.pi)
    assert share.sum() == pytest.approx(1)
    assert found.solid_angle == pytest.approx(4 * math.pi / found.coordination)
    assert found.facet_area == pytest.approx((share * facets.area).sum())
    assert found.facet_distance == pytest.approx((share * facets.distance).sum())
    assert 1 < found.coordination < len(share)


def test_a_facet_that_opens_counts_by_its_size() -> None:
    """Eight cubes meet in a corner: a displaced atom parts them there, and gets more facets."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3) / 3
    cubes = Cell(9 * np.eye(3), grid, [3] * 27)
    off = np.random.default_rng(0).normal(size=(27, 3))
    moved = Cell(cubes.lattice, grid + 0.003 / 9 * off, [3] * 27)
    plain = [voronoi_cell(cell, 0).coordination for cell in (cubes, moved)]
    assert plain[0] == 6 and plain[1] >= 12
    weighted = [voronoi_cell(cell, 0, weighted=True) for cell in (cubes, moved)]
    assert astuple(weighted[1])[0] == pytest.approx(6, abs=0.02)
    assert weighted[1].facet_area == pytest.approx(weighted[0].facet_area, rel=0.01)
    assert weighted[1].facet_distance == pytest.approx(weighted[0].facet_distance, rel=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_cell_of_pymatgen(seed: int) -> None:
    from pymatgen.analysis.local_env import VoronoiNN
    from pymatgen.core import Lattice, Structure

    cell = random_cell(seed, atoms=1 + 2 * seed)
    site = seed
    structure = Structure(Lattice(cell.lattice), cell.numbers.tolist(), cell.frac.tolist())
    stock = VoronoiNN().get_voronoi_polyhedra(structure, site).values()

    def mean(key: str) -> float:
        return float(np.mean([facet[key] for facet in stock]))

    expected = [mean(key) for key in ("solid_angle", "area", "face_dist", "n_verts")]
    total = sum(facet["volume"] for facet in stock)
    assert astuple(voronoi_cell(cell, site)) == pytest.approx((len(stock), *expected, total))


def test_facets_of_all_cells() -> None:
    cell = random_cell(3, atoms=9)
    facets = voronoi_facets(cell)
    assert facets.volume.sum() == pytest.approx(volume(cell))
    angles = np.bincount(facets.center, facets.solid_angle)
    np.testing.assert_allclose(angles, 4 * np.pi)
    apart = cell.frac[facets.neighbor] + facets.image - cell.frac[facets.center]
    np.testing.assert_allclose(
        apart @ cell.lattice, 2 * facets.distance[:, None] * facets.normal, atol=1e-9
    )
    # What is a facet from one side is the same facet from the other.
    seen = {
        (int(i), int(j), *map(int, n)): area
        for i, j, n, area in zip(
            facets.center, facets.neighbor, facets.image, facets.area, strict=True
        )
    }
    assert len(seen) == len(facets.center)
    for (i, j, *n), area in seen.items():
        assert seen[j, i, *(-x for x in n)] == pytest.approx(area, abs=1e-9)


def test_one_cell_is_that_of_all() -> None:
    cell = random_cell(5, atoms=7)
    every, one = voronoi_facets(cell), voronoi_facets(cell, [4])
    mine = every.center == 4
    for of_all, alone in zip(every, one, strict=True):
        np.testing.assert_allclose(alone, of_all[mine], atol=1e-9)


def test_voids_are_looked_across() -> None:
    # A slab: the cells at its surface reach 12 Å into the void.
    rng = np.random.default_rng(0)
    slab = Cell(np.diag([5.0, 5.0, 30.0]), rng.random((8, 3)) * [1, 1, 0.2], [3] * 8)
    facets = voronoi_facets(slab)
    assert facets.volume.sum() == pytest.approx(volume(slab))
    assert facets.distance.max() > 10
    top = int(slab.frac[:, 2].argmax())
    alone, mine = voronoi_facets(slab, [top]), facets.center == top
    np.testing.assert_allclose(np.sort(alone.area), np.sort(facets.area[mine]), atol=1e-9)


@pytest.mark.parametrize("seed", [10, 40, 101, 136])
def test_cells_fill_a_slab_of_any_thickness(seed: int) -> None:
    """With the points that are looked at first, some cells are too large."""
    rng = np.random.default_rng(seed)
    atoms, height = int(rng.integers(4, 30)), rng.uniform(6, 22)
    frac = rng.random((atoms, 3))
    frac[:, 2] *= rng.uniform(1, 3) / height
    slab = Cell(np.diag([rng.uniform(4, 8), rng.uniform(4, 8), height]), frac, [8] * atoms)
    assert voronoi_facets(slab).volume.sum() == pytest.approx(volume(slab))


def test_two_atoms_on_one_site() -> None:
    with pytest.raises(InputError, match=r"atom 1 has no Voronoi cell.*on its site"):
        voronoi_facets(DOUBLED)


def test_not_a_crystal() -> None:
    needle = Cell(np.diag([1.0, 1.0, 1000.0]), [[0, 0, 0]], [3])
    with pytest.raises(InputError, match="lattice: too sparse or too flat"):
        voronoi_cell(needle, 0)
