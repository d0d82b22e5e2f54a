"""The way between two ends is the same however their cell was chosen."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from linegraph import Cell, Ends
from linegraph.ends import shortest_hop
from linegraph.path_features import path_features

SKEWED = np.array([[6.0, 0, 0], [1.0, 5.5, 0], [-2.0, 0.7, 7.1]])


def ends(lattice: np.ndarray, start: list[float], end: list[float]) -> Ends[Cell]:
    def one(ion: list[float]) -> Cell:
        return Cell(lattice, [ion, [0.5, 0.2, 0.3], [0.1, 0.6, 0.8]], [3, 8, 15])

    return Ends(one(start), one(end))


@pytest.mark.parametrize("shear", [(0, 0), (5, 0), (-4, 3), (1, -7)])
def test_in_a_sheared_cell(shear: tuple[int, int]) -> None:
    rows = np.array([[1, 0, 0], [shear[0], 1, 0], [0, shear[1], 1]])
    given = ends(SKEWED, [0.02, 0.9, 0.1], [0.97, 0.2, 0.9])
    there, back = rows @ SKEWED, np.linalg.inv(rows)
    other = Ends(*(Cell(there, cell.frac @ back % 1, cell.numbers) for cell in given))
    ways = given.final.frac[0] - given.initial.frac[0] + list(product(range(-4, 5), repeat=3))
    expected = np.linalg.norm(ways @ SKEWED, axis=1).min()
    for pair in (given, other):
        hop = shortest_hop(pair)
        assert np.linalg.norm(hop @ pair.initial.lattice) == pytest.approx(expected)
        off = hop - (pair.final.frac[0] - pair.initial.frac[0])
        np.testing.assert_allclose(off, np.rint(off), atol=1e-9)
    ours, theirs = path_features(given), path_features(other)
    assert ours["path_distance"] == pytest.approx(theirs["path_distance"])


def test_of_two_ways_as_short_one_is_taken() -> None:
    """Half a cell away: to the lower fraction, as the published features have it."""
    hop = shortest_hop(ends(np.eye(3) * 6, [0.25, 0.5, 0.5], [0.75, 0.5, 0.5]))
    np.testing.assert_allclose(hop, [-0.5, 0, 0], atol=1e-9)
