"""Distances to training records, where the numbers are few enough to be seen through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from linegraph.domain import Domain
from tests.errors import message_of


def domain(vectors: ArrayLike, member: Sequence[int] | None = None) -> Domain:
    """Two members that see the same ``[n, H]``; each has held out every other one."""
    seen = np.asarray(vectors, np.float32)
    of = np.arange(len(seen)) % 2 if member is None else np.array(member)
    return Domain(tuple(map(str, range(len(seen)))), of, np.stack([seen, seen]))


def test_a_component_that_never_changes() -> None:
    """It is not divided by its deviation, which is 0: a hop that differs in it is far."""
    known = domain([[0, 5], [1, 5], [2, 5], [4, 5]])
    assert np.isfinite(known.held_out).all()
    same, other = known.place(np.float32([[[1, 5], [1, 8]]] * 2))[0].T
    # The first member knows what is at 1; the second knows what is beside it.
    assert same[0] == 0
    assert other[1] == pytest.approx(np.hypot(same[1], other[0]))
    assert other[0] > 1


def test_where_all_records_are_alike() -> None:
    alike = domain([[2, 3]] * 4)
    assert alike.held_out.tolist() == [0, 0, 0, 0]
    apart, (names, _) = alike.place(np.float32([[[2, 3], [2, 4]]] * 2))
    assert apart[:, 0].tolist() == [0, 0]
    assert (apart[:, 1] > 1e5).all()
    assert names == ("0", "1", "2")


def test_what_is_close_is_at_no_distance_that_rounding_made() -> None:
    """The square of a distance is a difference of large numbers, and may come out below 0."""
    known = domain(np.random.default_rng(0).normal(100, 1, (40, 30)))
    apart, names = known.place(known.embeddings)
    assert np.isfinite(apart).all()
    for k in range(2):
        assert apart[k, known.known[k]] == pytest.approx(0, abs=1e-6)
    assert [first for first, *_ in names] == list(known.names)


def test_the_unit_is_the_distance_that_95_of_100_are_within() -> None:
    found = domain(np.random.default_rng(1).normal(size=(100, 4))).held_out
    assert np.count_nonzero(found <= 1) == 95


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ([0, 0, 0], "a member has no training records"),
        ([0, 1, 2], "a record was held out by a member that is not there"),
        ([0, 1, -1], "a record was held out by a member that is not there"),
        ([0, 1], "3 records, but embeddings of shape (2, 3, 2) and members of shape (2,)"),
    ],
)
def test_members_that_cannot_be(member: list[int], problem: str) -> None:
    assert message_of(lambda: domain([[0, 1], [1, 2], [2, 0]], member)) == problem


def test_numbers_that_are_not_finite() -> None:
    assert message_of(lambda: domain([[0, 1], [1, float("nan")]])) == (
        "an embedding is NaN or infinite"
    )
