"""The host around a few places: against all pairs, and cells that are too thin for it."""

from __future__ import annotations

import numpy as np
import pytest

from linegraph.around import host_around
from linegraph.structure import Cell
from tests.crystals import every_neighbor, random_cell
from tests.errors import message_of


@pytest.mark.parametrize("seed", range(5))
def test_what_all_pairs_have(seed: int) -> None:
    cell = random_cell(seed, atoms=4 + 3 * seed)
    reach = 6.0
    expected = every_neighbor(cell, reach)
    found = host_around(cell, 3, reach)
    assert len(found) == 3
    for center, near in enumerate(found):
        mine = expected.where((expected.center == center) & (expected.neighbor >= 3))
        order = np.argsort(mine.distance)
        np.testing.assert_allclose(near.distance, mine.distance[order], atol=1e-9)
        np.testing.assert_array_equal(near.atom, mine.neighbor[order])


def test_an_atom_at_the_place_itself_is_there() -> None:
    cell = Cell(5 * np.eye(3), [[0.5, 0.5, 0.5], [1.5, 0.5, -0.5]], [3, 8])
    (near,) = host_around(cell, 1, 4.0)
    assert near.atom.tolist() == [1]
    assert near.distance.tolist() == [0]


def test_no_host() -> None:
    (near,) = host_around(Cell(5 * np.eye(3), [[0.0, 0, 0]], [3]), 1, 8.0)
    assert near.atom.shape == near.distance.shape == (0,)


@pytest.mark.parametrize("atoms", [1, 2])
def test_too_thin(atoms: int) -> None:
    cell = Cell(1e-3 * np.eye(3), np.linspace(0, 0.5, atoms)[:, None] * np.ones(3), [3] * atoms)
    message = message_of(lambda: host_around(cell, 1, 8.0))
    assert "lattice" in message and "too thin for a search within 8 Å" in message
