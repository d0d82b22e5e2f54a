"""A band is the same band with its images wrapped into the cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegraph import Cell, views
from linegraph.images import IMAGES
from linegraph.unwrapping import shortest_ways, unwrapped
from training.starter import starter_bands

BANDS = {band.name: band.cell for band in starter_bands()}


def wrapped(cell: Cell) -> Cell:
    return Cell(cell.lattice, cell.frac % 1.0, cell.numbers)


def across_a_face(cell: Cell, axis: int) -> Cell:
    """The band moved so that its middle image is on a face of the cell."""
    shift = np.zeros(3)
    shift[axis] = -cell.frac[2, axis]
    return Cell(cell.lattice, cell.frac + shift, cell.numbers)


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(*[st.sampled_from([0, 0.25, 0.5, 0.75])] * 3),
    st.lists(st.integers(-3, 3), min_size=3, max_size=3),
    st.lists(st.integers(-5, 5), min_size=2, max_size=2),
)
def test_of_ways_as_short_it_is_the_same(
    step: tuple[float, ...], cells: list[int], shear: list[int]
) -> None:
    """Whichever of the steps that differ by lattice vectors is given; beside all of them."""
    rows = np.array([[1, 0, 0], [shear[0], 1, 0], [0, shear[1], 1]])
    lattice = rows @ np.diag([3.0, 4.0, 5.0])
    given_steps = np.array([step, np.add(step, cells)]) @ np.linalg.inv(rows)
    one, other = given_steps + shortest_ways(given_steps, lattice)
    np.testing.assert_allclose(one, other, atol=1e-9)
    # By hand in the cell without shear: half a cell is as far either way.
    expected = [3.0, 4.0, 5.0] * np.minimum(np.mod(step, 1), 1 - np.mod(step, 1))
    assert np.linalg.norm(one @ lattice) == pytest.approx(np.linalg.norm(expected), abs=1e-9)
    halves = np.isclose(np.mod(step, 1), 0.5)
    if not any(shear):
        assert (one[halves] < 0).all()


@pytest.mark.parametrize("name", sorted(BANDS))
def test_bands_as_they_are_stay_so(name: str) -> None:
    assert unwrapped(BANDS[name]) is BANDS[name]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(BANDS)[:8])
def test_wrapped_images_come_back(name: str, axis: int) -> None:
    band = across_a_face(BANDS[name], axis)
    found = unwrapped(wrapped(band))
    ours, theirs = (np.diff(cell.cart[:IMAGES], axis=0) for cell in (found, band))
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    np.testing.assert_array_equal(found.frac[IMAGES:], wrapped(band).frac[IMAGES:])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=5, max_size=5),
    st.lists(st.integers(-7, 7), min_size=2, max_size=2),
)
def test_by_any_vectors_in_any_basis(cells: list[list[int]], shear: list[int]) -> None:
    band = BANDS[sorted(BANDS)[0]]
    rows = np.array([[1, 0, 0], [shear[0], 1, 0], [0, shear[1], 1]])
    frac = band.frac @ np.linalg.inv(rows)
    torn = frac.copy()
    torn[:IMAGES] += cells
    found = unwrapped(Cell(rows @ band.lattice, torn, band.numbers))
    np.testing.assert_allclose(
        np.diff(found.cart[:IMAGES], axis=0), np.diff(band.cart[:IMAGES], axis=0), atol=1e-6
    )


def test_features_do_not_see_how_a_band_was_written() -> None:
    band = across_a_face(BANDS[sorted(BANDS)[0]], 0)
    torn = wrapped(band)
    assert np.abs(np.diff(torn.frac[:IMAGES], axis=0)).max() > 0.5
    ours, theirs = (views(cell, ["path"])["path"]["features"] for cell in (torn, band))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
