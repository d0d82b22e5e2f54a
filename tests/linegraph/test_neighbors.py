"""Neighbour lists against all pairs of all images."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from linegraph import InputError
from linegraph.crystal import SHELL_TOL, crystal_graph
from linegraph.neighbors import Neighbors, radius_neighbors, shell_neighbors
from linegraph.reading import as_cell
from linegraph.structure import Cell
from training.read import read_bands

from .. import crystals, goldens


def rows(found: Neighbors) -> list[tuple[int, ...]]:
    return sorted(map(tuple, np.column_stack([found.center, found.neighbor, found.image]).tolist()))


def assert_shells(cell: Cell, k: int = 12, shell_tol: float = SHELL_TOL) -> Neighbors:
    expected = crystals.shells(cell, k, shell_tol)
    assert expected.margin > 1e-9, "a bad example: rounding decides who is a neighbour"
    found = shell_neighbors(cell, k, shell_tol)
    assert rows(found) == sorted(expected.entries)
    vectors = (cell.frac[found.neighbor] + found.image - cell.frac[found.center]) @ cell.lattice
    np.testing.assert_allclose(found.distance, np.linalg.norm(vectors, axis=1), atol=1e-9)
    assert (np.diff(found.center) >= 0).all()
    assert [column.dtype.name for column in found] == ["int64"] * 3 + ["float64"]
    return found


BRICK = np.stack(np.meshgrid(range(2), range(2), range(4)), axis=-1).reshape(-1, 3)
SHAPES = {
    "one atom": crystals.fcc(),
    "needle": Cell(np.diag([2.9, 2.9, 120.0]), [[0, 0, 0.1], [0.5, 0.5, 0.11]], [26, 8]),
    "needle of one atom": Cell(np.diag([2.9, 120.0, 2.9]), [[0.3, 0.9, 0.5]], [26]),
    "plate": Cell(np.diag([2.9, 60.0, 60.0]), [[0, 0, 0], [0, 0.5, 0.5]], [3, 8]),
    "skewed": Cell(
        [[4, 0, 0], [11.3, 3, 0], [-9.1, 13.7, 3.5]], [[0, 0, 0], [0.3, 0.4, 0.7]], [11, 17]
    ),
    "left-handed": Cell(
        [[0, 4, 0.3], [4.4, 0, 0], [0, 0.2, 5]], [[0, 0, 0], [0.4, 0.4, 0.6]], [11, 17]
    ),
    "outside of the cell": Cell(
        np.diag([4.0, 4.2, 4.4]), [[-7.2, 0.1, 3.3], [12.4, -0.6, 0.8]], [3, 8]
    ),
    "dilute": Cell(np.diag([20.0, 20.0, 20.0]), [[0.2, 0.7, -0.1]], [2]),
    "cluster in a box": Cell(
        np.diag([31.0, 33.0, 35.0]), BRICK * [0.07, 0.071, 0.073], [6] * len(BRICK)
    ),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("k", [1, 6, 12])
def test_shells_of_unusual_cells(name: str, k: int) -> None:
    assert_shells(SHAPES[name], k)


def test_first_shell_of_fcc_is_its_twelve_neighbors() -> None:
    found = shell_neighbors(crystals.fcc(4.05), 12, SHELL_TOL)
    assert len(found.center) == 12
    np.testing.assert_allclose(found.distance, 4.05 / 2**0.5)
    assert len(shell_neighbors(crystals.fcc(4.05), 13, SHELL_TOL).center) == 18


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(crystals.any_cells(), st.integers(1, 14), st.sampled_from([1e-8, SHELL_TOL, 0.1, 1.5]))
def test_shells_of_any_cell(cell: Cell, k: int, shell_tol: float) -> None:
    assume(crystals.shells(cell, k, shell_tol).margin > 1e-9)
    assert_shells(cell, k, shell_tol)


@settings(max_examples=30, deadline=None)
@given(crystals.any_cells(), st.floats(0.2, 7.0))
def test_radius_search_of_any_cell(cell: Cell, radius: float) -> None:
    everyone = crystals.every_neighbor(cell, radius + 1e-6)
    assume(bool((np.abs(everyone.distance - radius) > 1e-9).all()))
    assume(bool((np.abs(everyone.distance - 0.15) > 1e-9).all()))
    assert rows(radius_neighbors(cell, radius)) == rows(everyone.where(everyone.distance <= radius))


def test_every_entry_is_listed_once() -> None:
    for cell in SHAPES.values():
        found = rows(shell_neighbors(cell, 12, SHELL_TOL))
        assert len(found) == len(set(found))


def test_a_site_that_is_there_twice_is_no_neighbor_of_itself() -> None:
    close = Cell(np.diag([4.0, 4.0, 4.0]), [[0, 0, 0], [0.03, 0, 0], [0.5, 0.5, 0.5]], [3, 3, 8])
    found = assert_shells(close)
    assert found.distance.min() > 0.15
    apart = Cell(close.lattice, [[0, 0, 0], [0.04, 0, 0], [0.5, 0.5, 0.5]], [3, 3, 8])
    assert assert_shells(apart).distance.min() == pytest.approx(0.16)


def test_far_away_atoms_keep_their_bonds() -> None:
    """Images too far apart to be packed into one integer."""
    near = crystals.random_cell(3, atoms=3)
    moved = np.array([[0, 0, 0], [3_000_001, -2_999_999, 5_000_000], [-4_000_000, 1_000_001, -7]])
    far = Cell(near.lattice, near.frac + moved, near.numbers)
    expected = {
        (i, j, *(np.array(n) - moved[j] + moved[i]).tolist())
        for i, j, *n in rows(shell_neighbors(near, 12, SHELL_TOL))
    }
    assert set(rows(shell_neighbors(far, 12, SHELL_TOL))) == expected
    a, b = crystal_graph(near), crystal_graph(far)
    assert a.edge_index.tolist() == b.edge_index.tolist()
    order = [np.lexsort(np.round(g.edge_vec.numpy(), 3).T) for g in (a, b)]
    np.testing.assert_allclose(a.edge_vec[order[0]], b.edge_vec[order[1]], atol=1e-5)
    assert a.multiplicity[order[0]].tolist() == b.multiplicity[order[1]].tolist()


def test_atoms_too_far_apart() -> None:
    with pytest.raises(InputError, match="fewer than 12 neighbours within 1000 Å") as error:
        shell_neighbors(Cell(np.diag([900.0] * 3), [[0, 0, 0]], [1]), 12, SHELL_TOL)
    assert error.value.field == "coords"


ROCK_SALT = Structure.from_spacegroup(
    "Fm-3m", np.diag([4.211] * 3), ["Mg", "O"], [[0] * 3, [0.5] * 3]
)
SPINEL = Structure.from_spacegroup(
    "Fd-3m:2",
    np.diag([8.083] * 3),
    ["Mg", "Al", "O"],
    [[0.125] * 3, [0.5] * 3, [0.26318] * 3],
)
OLIVINE = Structure.from_spacegroup(
    "Pnma",
    np.diag([10.332, 6.010, 4.692]),
    ["Li", "Fe", "P", "O", "O", "O"],
    [
        [0, 0, 0],
        [0.282194, 0.25, 0.974722],
        [0.094787, 0.25, 0.418193],
        [0.096826, 0.25, 0.742848],
        [0.457194, 0.25, 0.205812],
        [0.165547, 0.046551, 0.284871],
    ],
)
HEXAGONAL = Structure.from_spacegroup(
    "P6_3/mmc",
    [[3.2094, 0, 0], [-1.6047, 3.2094 * 3**0.5 / 2, 0], [0, 0, 5.2108]],
    ["Mg"],
    [[1 / 3, 2 / 3, 1 / 4]],
)
PERFECT = {
    "fcc": crystals.fcc(),
    "rock salt": as_cell(ROCK_SALT),
    "rock salt, primitive": as_cell(ROCK_SALT.get_primitive_structure()),
    "spinel": as_cell(SPINEL),
    "spinel, primitive": as_cell(SPINEL.get_primitive_structure()),
    "olivine": as_cell(OLIVINE),
    "hexagonal": as_cell(HEXAGONAL),
}


def neighbors_per_atom(cell: Cell, shell_tol: float = SHELL_TOL) -> list[int]:
    found = shell_neighbors(cell, 12, shell_tol)
    return np.bincount(found.center, minlength=len(cell)).tolist()


@pytest.mark.parametrize("name", PERFECT)
def test_atoms_equal_by_symmetry_have_equally_many_neighbors(name: str) -> None:
    cell = PERFECT[name]
    counts = neighbors_per_atom(cell)
    kinds = {
        "fcc": {13: 12},
        "hexagonal": {12: 12},
        "rock salt": {12: 18, 8: 18},  # 6 of the other element, then 12 of its own
    }
    expected = kinds.get(name.removesuffix(", primitive"))
    if expected is not None:
        assert dict(zip(cell.numbers.tolist(), counts, strict=True)) == expected
    if "spinel" in name:
        per_element = {
            z: {c for c, n in zip(counts, cell.numbers, strict=True) if n == z} for z in (8, 12, 13)
        }
        assert all(len(kind) == 1 for kind in per_element.values())


@pytest.mark.parametrize("name", PERFECT)
@pytest.mark.parametrize("decimals", [4, 5, 6])
def test_rounding_splits_no_shell(name: str, decimals: int) -> None:
    cell = PERFECT[name]
    rounded = Cell(np.round(cell.lattice, decimals), np.round(cell.frac, decimals), cell.numbers)
    assert neighbors_per_atom(rounded) == neighbors_per_atom(cell)


@pytest.mark.parametrize("name", PERFECT)
def test_rotating_splits_no_shell(name: str) -> None:
    cell = PERFECT[name]
    counts = neighbors_per_atom(cell)
    for seed in range(5):
        turned = cell.lattice @ crystals.rotation(seed)
        assert neighbors_per_atom(Cell(turned, cell.frac, cell.numbers)) == counts
        turned = np.round(turned, 5)
        assert neighbors_per_atom(Cell(turned, cell.frac, cell.numbers)) == counts


def test_exact_comparison_does_split_rounded_shells() -> None:
    """Why the default is wider: with 1e-8 the sixth decimal decides who is a neighbour."""
    cell = PERFECT["rock salt"]
    turned = Cell(np.round(cell.lattice @ crystals.rotation(0), 6), cell.frac, cell.numbers)
    assert set(neighbors_per_atom(turned)) == {18}
    assert min(neighbors_per_atom(turned, 1e-8)) < 18


@goldens.needs_data
def test_largest_published_band() -> None:
    bands = read_bands(goldens.SHARED / "data" / "barriers" / "train.json.gz").bands
    cell = max((band.cell for band in bands), key=len)
    assert len(cell) == 1027
    found = shell_neighbors(cell, 12, SHELL_TOL)
    frac = cell.frac
    # The cell is far wider than twice the shells, so the nearest image is the only one to look at.
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)
    assert heights.min() > 2 * found.distance.max() + 1
    expected = []
    for i in range(len(cell)):
        image = -np.rint(frac - frac[i])
        near = np.array(list(itertools.product([-1, 0, 1], repeat=3)))
        distance = np.linalg.norm((frac - frac[i] + image + near[:, None]) @ cell.lattice, axis=2)
        limit = np.sort(distance[distance > 0.15])[11] + SHELL_TOL
        n, j = np.nonzero((distance > 0.15) & (distance <= limit))
        expected += [
            (i, a, *b) for a, b in zip(j, (image[j] + near[n]).astype(int).tolist(), strict=True)
        ]
    assert rows(found) == sorted(expected)


_TEN_THOUSAND = """
import json, resource, time
import numpy as np
import torch
import linegraph
from tests import crystals

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

linegraph.LineGraph()(linegraph.crystal_graph(crystals.fcc()))  # imports and first calls
corners = [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]]
cube = linegraph.Cell(np.eye(3) * 4.05, corners, [13] * 4)
cell = crystals.supercell(cube, (10, 10, 25))
before, start = peak(), time.perf_counter()
graph = linegraph.crystal_graph(cell)
built, bonds = time.perf_counter() - start, peak() - before
graph = linegraph.LineGraph()(graph)
print(json.dumps({
    "atoms": len(cell), "bonds": graph.num_bonds, "triplets": graph.num_triplets,
    "copies": sorted(set(graph.multiplicity.tolist())),
    "lengths": [float(x) for x in torch.aminmax(graph.edge_vec.norm(dim=1))],
    "graph_s": built, "total_s": time.perf_counter() - start,
    "graph_MiB": bonds, "total_MiB": peak() - before,
}))
"""


def test_ten_thousand_atoms() -> None:
    """In a process of its own, since the peak of the memory is that of the whole process."""
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", _TEN_THOUSAND], cwd=root, capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert (found["atoms"], found["bonds"], found["triplets"]) == (10_000, 120_000, 1_440_000)
    assert found["copies"] == [2]
    assert found["lengths"] == pytest.approx([4.05 / 2**0.5] * 2, rel=1e-5)
    assert found["total_s"] < 20  # 0.3 s alone on a machine, which it may not be
    # A table of all pairs alone would take 800 MB.
    assert found["graph_MiB"] < 200
    assert found["total_MiB"] < 400
