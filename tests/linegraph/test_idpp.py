"""To which side of an atom a path goes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from linegraph.idpp import off_atoms

#: Along y, with an atom on the middle.
PATH = np.array([[0, y, 0] for y in (-2, -1, 0, 1, 2)], dtype=np.float64)
ON_IT = [0, 0.02, 0]


def side(*around: ArrayLike) -> NDArray[np.float64]:
    """The way of the middle image, as a unit vector; the others stay."""
    moved = off_atoms(PATH, np.array([ON_IT, *around], dtype=np.float64)) - PATH
    assert np.abs(np.delete(moved, 2, axis=0)).max() == 0
    assert np.linalg.norm(moved[2]) == pytest.approx(0.1)
    way: NDArray[np.float64] = moved[2] / 0.1
    return way


def test_away_from_the_only_neighbour() -> None:
    np.testing.assert_allclose(side([2, 0.5, 0]), [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(side([0, 0.5, -2]), [0, 0, 1], atol=1e-12)


def test_between_neighbours() -> None:
    np.testing.assert_allclose(
        side([2, 0, 0], [0, 0, 2]), [-np.sqrt(0.5), 0, -np.sqrt(0.5)], atol=1e-12
    )
    # A square with one corner further out.
    square = ([2, 0, 0], [-2, 0, 0], [0, 0, 2], [0, 0, -2.04])
    assert side(*square) @ [0, 0, -1] == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_nothing_beside_the_path() -> None:
    assert abs(side([0, 4, 0]) @ [0, 1, 0]) < 1e-12
    assert abs(side() @ [0, 1, 0]) < 1e-12


def test_images_that_are_on_no_atom_stay() -> None:
    np.testing.assert_array_equal(off_atoms(PATH, np.array([[0.2, 0, 0]])), PATH)
