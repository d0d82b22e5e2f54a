"""Structures that no matter has are refused before they take all memory, large ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from linegraph import neighbors
from linegraph.errors import InputError
from linegraph.neighbors import radius_neighbors, shell_neighbors
from linegraph.overlap import closest_pair
from linegraph.structure import Cell

RANDOM = np.random.default_rng(1)


def crystal(times: int, vacuum: float = 1.0) -> Cell:
    """Rock salt, so many cubes along each edge, the last edge longer by a vacuum."""
    corner = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    cube = np.concatenate([corner, corner + 0.5])
    shifts = np.indices((times,) * 3).reshape(3, -1).T
    frac = ((cube[None] + shifts[:, None]).reshape(-1, 3)) / times / [1, 1, vacuum]
    lattice = np.diag([4.2 * times, 4.2 * times, 4.2 * times * vacuum])
    return Cell(lattice, frac, np.tile([3] * 4 + [8] * 4, times**3))


@pytest.mark.parametrize("vacuum", [1.0, 2.0])
def test_large_structures_are_searched(vacuum: float, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = crystal(6, vacuum)
    monkeypatch.setattr(neighbors, "PAIRS", 0)  # as if it had a hundred times the atoms
    assert len(shell_neighbors(cell, 12, 1e-3).center) >= 12 * len(cell)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (Cell(np.eye(3) * 10, np.full((700, 3), 0.5), [3] * 700), "sit on one another"),
        (Cell(np.eye(3) * 10, np.full((5000, 3), 0.5), [3] * 5000), "pairs of atoms"),
        (Cell(np.diag([1e-3, 1e-3, 1e6]), np.zeros((1, 3)), [3]), "too thin for a search"),
        (Cell(np.eye(3) * 0.1, np.zeros((1, 3)), [3]), "sit on one another"),
        (
            Cell(np.eye(3) * 500, RANDOM.normal(0.5, 1e-3, (8000, 3)), [3] * 8000),
            "pairs of atoms",
        ),
    ],
)
def test_absurd_ones_are_refused(cell: Cell, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        shell_neighbors(cell, 12, 1e-3)


def test_the_bound_is_one() -> None:
    """It is compared with what there is by making it the limit: no pair more may be allowed."""
    cell = Cell(np.diag([3.0, 9.0, 20.0]), RANDOM.random((300, 3)), [3] * 300)
    for radius in (1.0, 2.5, 4.0):
        found = len(radius_neighbors(cell, radius).center)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbors, "PAIRS", found - 1)
            patch.setattr(neighbors, "PAIRS_OF_ATOM", 0)
            with pytest.raises(InputError, match="pairs of atoms"):
                radius_neighbors(cell, radius)


def test_places_and_cells_beyond_all_digits() -> None:
    with pytest.raises(InputError, match="atom 1 is 1e\\+300 cells away"):
        Cell(np.eye(3), [[0, 0, 0], [1e300, 0, 0]], [3, 3])
    with pytest.raises(InputError, match="a lattice vector is 1e\\+09 Å long"):
        Cell(np.eye(3) * 1e9, [[0, 0, 0]], [3])
    assert len(Cell(np.eye(3) * 5, [[-500.25, 0, 0]], [3])) == 1


def test_a_million_atoms_are_not_compared_in_pairs() -> None:
    cell = Cell(np.eye(3) * 300, RANDOM.random((10_001, 3)), [3] * 10_001)
    with pytest.raises(InputError, match="10001 atoms; at most 10000 are read"):
        closest_pair(cell, 0.01)
