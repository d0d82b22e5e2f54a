"""Which hops an ensemble is asked about at once, and which one a message names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import linegraph.ensemble
from linegraph.ensemble import MOST, Ensemble
from tests.errors import message_of
from tests.linegraph.test_ensemble import NEW, made

#: Of one crystal, and so with graphs of one size.
HOPS = [NEW[0]] * 5


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return replace(made(), domain=None, calibration=None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many hops there were in each batch; what is said of the fourth of all is NaN."""
    sizes: list[int] = []

    def said_by_all(members: Any, batch: Any) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        count = next(iter(batch.values())).num_graphs
        values = np.full((len(members), count), 0.5)
        if sum(sizes) <= 3 < sum(sizes) + count:
            values[0, 3 - sum(sizes)] = np.nan
        sizes.append(count)
        return values, np.zeros((len(members), count, 4), np.float32)

    monkeypatch.setattr(linegraph.ensemble, "said_by_all", said_by_all)
    return sizes


def triplets(ensemble: Ensemble) -> int:
    graphs = linegraph.views(HOPS[0], ensemble.views, **ensemble.graph_settings)
    return sum(graph.num_triplets for graph in graphs.values())


@pytest.mark.parametrize(
    ("hops", "most", "expected"),
    [(2.0, MOST, [2, 2]), (2.9, MOST, [2, 2]), (0.5, MOST, [1, 1, 1, 1]), (9.0, 3, [3, 2])],
)
def test_sizes_of_batches(
    hops: float,
    most: int,
    expected: list[int],
    ensemble: Ensemble,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as the budget of bond pairs allows, and no more than so many in any case."""
    monkeypatch.setattr(linegraph.ensemble, "BUDGET", int(hops * triplets(ensemble)))
    monkeypatch.setattr(linegraph.ensemble, "MOST", most)
    line = message_of(lambda: ensemble.predict(HOPS))
    assert line == "record 3: the prediction is NaN or infinite"
    assert asked == expected
