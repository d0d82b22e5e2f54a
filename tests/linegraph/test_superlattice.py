"""The smallest superlattices, against all of them counted out."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from linegraph.superlattice import around, emptiest, reduced, squarest, superlattices

from .. import crystals

FloatArray = NDArray[np.float64]

SHIFTS = np.array([n for n in itertools.product(range(-3, 4), repeat=3) if any(n)])


def unimodular(seed: int, steps: int = 6) -> FloatArray:
    """Another basis of the whole numbers."""
    rng = np.random.default_rng(seed)
    rows = np.eye(3)
    for _ in range(steps):
        i, j = rng.permutation(3)[:2]
        rows[i] += rng.integers(-2, 3) * rows[j]
    return rows


def random_lattice(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    lattice: FloatArray = np.diag(rng.uniform(2.5, 6, 3)) + rng.uniform(-1.5, 1.5, (3, 3))
    return lattice


def shortest(lattice: FloatArray) -> float:
    return float(np.linalg.norm(SHIFTS @ reduced(lattice), axis=1).min())


def size(lattice: FloatArray, whole: FloatArray) -> int:
    """How many cells of a lattice one of its superlattices takes."""
    rows = lattice @ np.linalg.inv(whole)
    np.testing.assert_allclose(rows, np.rint(rows), atol=1e-6)
    return round(abs(float(np.linalg.det(rows))))


def every(index: int) -> list[FloatArray]:
    """All superlattices of an index: the Hermite normal forms."""
    return [
        np.array([[a, b, c], [0, d, e], [0, 0, f]], dtype=float)
        for a, d, f in itertools.product(range(1, index + 1), repeat=3)
        if a * d * f == index
        for b in range(d)
        for c, e in itertools.product(range(f), repeat=2)
    ]


def edge(lattice: FloatArray) -> float:
    """Least root mean square of three vectors that make the lattice."""
    vectors = SHIFTS[len(SHIFTS) // 2 :] @ reduced(lattice)
    vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1))][:13]
    volume = abs(np.linalg.det(lattice))
    return min(
        float(np.sqrt((np.array(three) ** 2).sum() / 3))
        for three in itertools.combinations(vectors, 3)
        if abs(abs(np.linalg.det(three)) / volume - 1) < 1e-6
    )


@pytest.mark.parametrize("seed", range(12))
def test_reduced(seed: int) -> None:
    """The shortest vectors there are, from however steep a basis."""
    lattice = random_lattice(seed)
    steep = unimodular(seed, 12) @ lattice
    found = reduced(steep)
    assert size(found, lattice) == 1
    lengths = np.linalg.norm(found, axis=1)
    assert (np.diff(lengths) >= 0).all()
    vectors = SHIFTS @ found
    vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]
    expected: list[FloatArray] = []
    for vector in vectors:
        if np.linalg.matrix_rank([*expected, vector], tol=1e-6) > len(expected):
            expected.append(vector)
    np.testing.assert_allclose(lengths, np.linalg.norm(expected, axis=1), atol=1e-9)


def test_a_steep_cell_is_reduced() -> None:
    rows = np.array([[1, 0, 0], [2000, 1, 0], [-7, 3000, 1]])
    np.testing.assert_allclose(np.abs(reduced(rows @ np.diag([3.0, 4.0, 5.0]))).sum(1), [3, 4, 5])


@pytest.mark.parametrize("seed", range(12))
def test_the_smallest_of_all(seed: int) -> None:
    lattice = random_lattice(seed)
    width = float(np.random.default_rng(seed).uniform(4, 6.5))
    found = superlattices(unimodular(seed) @ lattice, width)
    index = size(found[0], lattice)
    for fewer in range(1, index):
        assert all(shortest(form @ lattice) < width for form in every(fewer))
    wide = [form @ lattice for form in every(index) if shortest(form @ lattice) >= width]
    longest = max(map(shortest, wide))
    wide = [choice for choice in wide if shortest(choice) > longest - 0.01]
    edges = [edge(choice) for choice in wide]
    assert len(found) == np.count_nonzero(np.array(edges) < min(edges) + 0.01)
    for choice in found:
        assert size(choice, lattice) == index
        assert shortest(choice) > longest - 0.01
        assert edge(choice) < min(edges) + 0.01
        np.testing.assert_allclose(choice, reduced(choice))


def test_those_of_a_cube() -> None:
    """Known ones: a cube of 2 Å in 8 Å takes 48 cells, not 64, and its three ways are alike."""
    found = superlattices(2 * np.eye(3), 8.0)
    assert [size(choice, 2 * np.eye(3)) for choice in found] == [48] * 3
    assert shortest(found[0]) == pytest.approx(8.0)
    # Large enough as it is; and of three in a row, the square ones.
    assert len(superlattices(8 * np.eye(3), 8.0)) == 1
    (one,) = superlattices(np.diag([3.0, 20.0, 21.0]), 8.0)
    np.testing.assert_allclose(one, np.diag([9.0, 20.0, 21.0]))


def test_a_width_that_is_met_exactly() -> None:
    for hair in (-1e-9, 0.0, 1e-9):
        (one,) = superlattices(np.diag([4.0 + hair, 9.0, 9.0]), 8.0)
        assert shortest(one) == pytest.approx(8.0)


def test_no_crystal_has_so_small_a_cell() -> None:
    """It is not looked for long, and the width is kept."""
    (one,) = superlattices(0.5 * np.eye(3), 8.0)
    np.testing.assert_allclose(one, 8 * np.eye(3))


@pytest.mark.parametrize("width", [8.0, 12.0])
def test_small_cells_take_no_time(width: float) -> None:
    # The smallest cells there are: 11.3 Å³ of diamond, 16.2 Å³ of LiF.
    for edge_length in (3.57, 4.017):
        start = time.process_time()
        superlattices(crystals.fcc(edge_length).lattice, width)
        assert time.process_time() - start < 1


def test_the_squarest_basis() -> None:
    """Of a face-centred lattice some bases have a square face, others have all faces narrow."""
    fcc = crystals.fcc(8.0).lattice
    square = np.array([[4.0, 4, 0], [4, -4, 0], [4, 0, 4]])
    assert size(square, fcc) == 1
    for seed in range(6):
        turn = crystals.rotation(seed)
        basis = squarest(reduced(unimodular(seed) @ fcc @ turn), square @ turn)
        faces = np.linalg.norm(np.cross(basis[[1, 2, 0]], basis[[2, 0, 1]]), axis=1)
        np.testing.assert_allclose(faces, 32 * np.sqrt(3) / 2)
        assert np.linalg.det(basis) == pytest.approx(128.0)


def test_a_basis_like_the_given_one() -> None:
    given = np.array([[9.0, 0, 0], [-4.5, 7.794228634, 0], [0, 0, 8.5]])
    for rows in ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, -1], [0, 1, 0], [1, 0, 0]]):
        np.testing.assert_allclose(squarest(np.array(rows) @ given, given), given)
    # Left-handed ones are no cells that other programs take.
    assert np.linalg.det(squarest(-given, -given)) > 0


def test_the_vacancies_are_far() -> None:
    """Along the short vector of one lattice, the ion comes near to the next vacancy."""
    lattices = np.array([np.diag([8.0, 9.0, 9.0]), np.diag([9.0, 8.0, 9.0])])
    steps = np.linspace(0, 1, 5)[:, None]
    nothing, none = np.zeros((0, 3)), np.zeros(0)
    for axis, expected in ((0, 1), (1, 0)):
        path = steps * 3 * np.eye(3)[axis]
        for order in ([0, 1], [1, 0]):
            found = emptiest(lattices[order], path, path[[0, 4]], nothing, none)
            np.testing.assert_array_equal(found, lattices[expected])
    # Of two vacancies, the one beside the path counts as well.
    path = steps * [0, 0, 3]
    gone = np.array([[0, 0, 0], [0, 0, 3], [2, 0, 0]])
    for order in ([0, 1], [1, 0]):
        found = emptiest(lattices[order], path, gone, nothing, none)
        np.testing.assert_array_equal(found, lattices[1])


def test_what_is_in_between_decides_a_tie() -> None:
    lattices = np.array([np.diag([8.0, 9.0, 9.0]), np.diag([9.0, 8.0, 9.0])])
    path = np.linspace(0, 1, 5)[:, None] * [0, 0, 3.0]
    atom, weight = np.array([[3.0, 0, 1.5]]), np.array([8.0])
    for order in ([0, 1], [1, 0]):
        found = emptiest(lattices[order], path, path[[0, 4]], atom, weight)
        np.testing.assert_array_equal(found, lattices[1])


@pytest.mark.parametrize("seed", range(4))
def test_atoms_around_a_place(seed: int) -> None:
    cell = crystals.random_cell(seed, 3)
    place = np.random.default_rng(seed).uniform(-3, 3, 3)
    found = around(cell.lattice, cell.frac, place, 6.0)
    rows = [
        (atom, *shift)
        for atom in range(3)
        for shift in itertools.product(range(-11, 12), repeat=3)
        if np.linalg.norm((cell.frac[atom] + shift - place) @ cell.lattice) <= 6.0
    ]
    assert sorted(map(tuple, found.tolist())) == rows
    assert len(rows) > 10
