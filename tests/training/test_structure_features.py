"""Features of structures against stock matminer, and what it takes to have them."""

from __future__ import annotations

import math
import sys
import time
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import scipy.spatial

from linegraph.errors import InputError
from linegraph.structure import Cell
from tests.bands import rock_salt_band
from tests.crystals import random_cell
from tests.goldens import SHARED, needs_data
from tests.training.baselines_stock import stock_features
from training.baselines.structure import FEATURIZERS, STRUCTURE_FEATURES, structure_features
from training.data import load_bands

needs_matminer = pytest.mark.skipif(
    find_spec("matminer") is None, reason="matminer (extra [baselines]) is not installed"
)
TRAIN = SHARED / "data" / "barriers" / "train.json.gz"
OF_SITES = {
    "CoordinationNumber",
    "LocalPropertyDifference",
    "StructuralHeterogeneity",
    "ChemicalOrdering",
    "MaximumPackingEfficiency",
}
#: Two atoms on one site and one elsewhere.
DOUBLED = Cell(4 * np.eye(3), [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5]], [3, 3, 8])


def before_the_hop(band: Cell) -> Cell:
    return band.without([1, 2, 3, 4])


def assert_stock(cell: Cell) -> None:
    values, failures = structure_features(cell)
    assert not failures
    assert list(values) == list(STRUCTURE_FEATURES)
    # Statistics that symmetry makes zero are rounding in both.
    assert values == pytest.approx(stock_features(cell), rel=1e-6, abs=1e-10)


@needs_matminer
def test_names_of_matminer() -> None:
    from training.baselines.featurizers import composition_featurizers, voronoi_featurizers

    labels = {
        name: tuple(featurizer.feature_labels())
        for name, featurizer in {**composition_featurizers(), **voronoi_featurizers()}.items()
    }
    assert labels == dict(FEATURIZERS)
    assert len(set(STRUCTURE_FEATURES)) == len(STRUCTURE_FEATURES) == 273


@needs_matminer
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(before_the_hop(rock_salt_band("Na", "Cl", 5.6)), id="rock salt"),
        pytest.param(before_the_hop(rock_salt_band("Mg", "O", 4.2, jitter=1)), id="jittered"),
        pytest.param(Cell(3.6 * np.eye(3), [[0, 0, 0], [1.5, -0.5, 0.5]], [55, 17]), id="two"),
        pytest.param(Cell(3.0 * np.eye(3), [[0, 0, 0]], [3]), id="one element"),
        pytest.param(
            Cell(random_cell(4, atoms=7).lattice, random_cell(4, atoms=7).frac, [3, 26] + [8] * 5),
            id="no symmetry",
        ),
    ],
)
def test_equal_to_stock(cell: Cell) -> None:
    assert_stock(cell)


@needs_matminer
@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Na4MnAlP3O12_1", "e-VOPO4_Na_1", "CaV2S3O12"])
def test_published_structures(name: str) -> None:
    # The first one has a site twice, 0.014 Å apart.
    bands = {band.name: band for band in load_bands(TRAIN).bands}
    cell = bands[name].cell
    assert isinstance(cell, Cell)
    assert_stock(before_the_hop(cell))


@needs_matminer
def test_where_atoms_are_counted_from_is_no_matter() -> None:
    cell = before_the_hop(rock_salt_band(jitter=2))
    moved = Cell(cell.lattice, cell.frac + np.arange(len(cell))[:, None] % 3 - 1, cell.numbers)
    expected, _ = structure_features(cell)
    assert structure_features(moved)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@needs_matminer
def test_one_tessellation(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymatgen.analysis.local_env import VoronoiNN

    def never(self: VoronoiNN, *args: Any) -> None:
        raise AssertionError("pymatgen's own tessellation was asked for")

    monkeypatch.setattr(VoronoiNN, "get_voronoi_polyhedra", never)
    monkeypatch.setattr(VoronoiNN, "get_all_voronoi_polyhedra", never)
    calls: list[int] = []
    stock = scipy.spatial.Voronoi

    def counted(points: Any) -> Any:
        calls.append(len(points))
        return stock(points)

    monkeypatch.setattr(scipy.spatial, "Voronoi", counted)
    _, failures = structure_features(before_the_hop(rock_salt_band(jitter=3)))
    assert not failures
    assert len(calls) == 1


@needs_matminer
def test_time_at_the_median_size() -> None:
    unit = before_the_hop(rock_salt_band(jitter=4))
    copies = np.stack(np.meshgrid(*[range(n) for n in (2, 2, 3)], indexing="ij"), -1).reshape(-1, 3)
    frac = (unit.frac + copies[:, None]).reshape(-1, 3) / [2, 2, 3]
    large = Cell(unit.lattice * [[2], [2], [3]], frac, np.tile(unit.numbers, len(copies)))
    assert len(large) > 107
    structure_features(unit)
    start = time.process_time()
    structure_features(large)
    assert time.process_time() - start < 5


@needs_matminer
def test_failures_have_names() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values, failures = structure_features(DOUBLED)
    assert not caught
    assert failures.keys() == OF_SITES
    assert all("atom 1 has no Voronoi cell" in message for message in failures.values())
    missing = {name for name, value in values.items() if math.isnan(value)}
    assert missing == {label for name in OF_SITES for label in FEATURIZERS[name]}
    assert values["MagpieData maximum Number"] == 8


@needs_matminer
def test_one_failure_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from matminer.featurizers.structure import StructuralHeterogeneity

    def broken(self: StructuralHeterogeneity, structure: Any) -> list[float]:
        raise ZeroDivisionError("no bonds")

    cell = before_the_hop(rock_salt_band(jitter=5))
    monkeypatch.setattr(StructuralHeterogeneity, "featurize", broken)
    values, failures = structure_features(cell)
    assert failures == {"StructuralHeterogeneity": "ZeroDivisionError: no bonds"}
    monkeypatch.setattr(
        StructuralHeterogeneity, "featurize", lambda self, structure: [math.inf, *[1.0] * 8]
    )
    values, failures = structure_features(cell)
    label = "mean absolute deviation in relative bond length"
    assert failures == {"StructuralHeterogeneity": f"not a number: {label}"}
    assert [name for name, value in values.items() if math.isnan(value)] == [label]


def test_matminer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "training.baselines.featurizers", raising=False)
    monkeypatch.setitem(sys.modules, "matminer.featurizers.base", None)
    monkeypatch.delattr("training.baselines.featurizers", raising=False)
    with pytest.raises(InputError, match=r"need matminer .*pip install 'linegraph\[baselines\]'"):
        structure_features(DOUBLED)
