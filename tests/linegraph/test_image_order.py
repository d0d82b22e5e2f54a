"""Images in another order than that of the path are refused, and no path that turns is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from linegraph import Cell, InputError, views
from linegraph.image_order import check_order
from linegraph.images import IMAGES
from training.starter import starter_bands

BANDS = {band.name: band.cell for band in starter_bands()}

#: There and back are the same path.
IN_ORDER = ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0))


def in_order(band: Cell, order: tuple[int, ...]) -> Cell:
    frac = band.frac.copy()
    frac[:IMAGES] = band.frac[list(order)]
    return Cell(band.lattice, frac, band.numbers)


def along(images: list[list[float]]) -> Cell:
    """Five images in a wide cell, and an atom far away."""
    cart = np.array([*images, [15.0, 15.0, 15.0]])
    return Cell(np.eye(3) * 30, cart / 30, np.array([3] * IMAGES + [8]))


@pytest.mark.parametrize("name", sorted(BANDS))
def test_bands_are_in_order(name: str) -> None:
    for order in IN_ORDER:
        check_order(in_order(BANDS[name], order))


@pytest.mark.parametrize("order", sorted({*permutations(range(IMAGES))} - {*IN_ORDER}))
def test_every_other_order_is_refused(order: tuple[int, ...]) -> None:
    band = in_order(BANDS["LiFePO4: Li along b"], order)
    with pytest.raises(InputError, match="in the order of the path") as caught:
        check_order(band)
    assert caught.value.field == "coords"
    told = tuple(map(int, caught.value.problem.rpartition("order ")[2].split(", ")))
    assert tuple(order[i] for i in told) in IN_ORDER


def test_the_order_that_is_told_is_a_path_of_the_length_that_is_told() -> None:
    straight = along([[0, 0, 0], [2, 0, 0], [1, 0, 0], [3, 0, 0], [4, 0, 0]])
    with pytest.raises(
        InputError, match=r"6\.00 Å long as given, but 4\.00 Å in the order 0, 2, 1"
    ):
        check_order(straight)


@pytest.mark.parametrize(
    "images",
    [
        # A right angle, three sides of a square, a bend of 120 degrees, uneven steps.
        [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 2, 0]],
        [[0, 0, 0], [0, 1, 0], [0.5, 1.5, 0], [1, 1, 0], [1, 0, 0]],
        [[0, 0, 0], [1, 0, 0], [2, 0, 0], [1.5, 0.87, 0], [1, 1.73, 0]],
        [[0, 0, 0], [0.1, 0, 0], [0.3, 0, 0], [2, 0, 0], [2.2, 0, 0]],
    ],
)
def test_paths_may_turn(images: list[list[float]]) -> None:
    check_order(along(images))


def test_the_view_of_the_path_asks_for_order() -> None:
    band = in_order(BANDS["LiFePO4: Li along b"], (4, 0, 1, 2, 3))
    with pytest.raises(InputError, match=r"3\.00 Å in the order"):
        views(band, ["path"])
    # What looks at the ends alone, or at atoms without order, is as published.
    assert set(views(band, ["initial", "band"])) == {"initial", "band"}
