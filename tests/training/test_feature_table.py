"""The table of features: what it holds, and what the cache does and does not do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linegraph.ends import Ends
from linegraph.path_features import PATH_FEATURES, path_features
from linegraph.structure import Cell
from tests.bands import rock_salt_band, some_bands
from training.bands import Band
from training.baselines.structure import STRUCTURE_FEATURES, structure_features
from training.baselines.table import FeatureTable, feature_table

#: What no band has.
MARK = 1234.5


def paths(bands: list[Band], cache: Path, workers: int = 1) -> FeatureTable:
    return feature_table(bands, structure=False, workers=workers, progress=False, cache=cache)


def mark(cache: Path) -> None:
    """Change the files of the cache so that one can see what was read from them."""
    for file in cache.iterdir():
        content = json.loads(file.read_text())
        content["values"]["path_distance"] = MARK
        del content["sha256"]
        text = json.dumps(content, sort_keys=True)
        content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        file.write_text(json.dumps(content))


def test_rows_are_records_and_columns_features(tmp_path: Path) -> None:
    bands = some_bands(3)
    found = paths(bands, tmp_path)
    assert found.names == PATH_FEATURES
    for band, row in zip(bands, found.values, strict=True):
        np.testing.assert_array_equal(row, list(path_features(band.cell).values()))
    again = paths(bands, tmp_path)
    np.testing.assert_array_equal(found.values, again.values)


def test_features_of_the_initial_structure(tmp_path: Path) -> None:
    pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    band = some_bands(1)[0]
    assert isinstance(band.cell, Cell)
    initial = band.cell.without([1, 2, 3, 4])
    ends = replace(band, name="ends", cell=Ends(initial, band.cell.without([0, 1, 2, 3])))
    found = feature_table([band, ends], workers=1, progress=False, cache=tmp_path)
    assert found.names == (*PATH_FEATURES, *STRUCTURE_FEATURES)
    expected = list(structure_features(initial)[0].values())
    for row in found.values:
        np.testing.assert_array_equal(row[len(PATH_FEATURES) :], expected)
    # The path is another input for the two, the initial structure is the same.
    assert sorted(file.name.split("-")[0] for file in tmp_path.iterdir()) == [
        "path",
        "path",
        "structure",
    ]


def test_an_interrupted_run_repeats_nothing(tmp_path: Path) -> None:
    bands = some_bands(4)
    paths(bands[:2], tmp_path)
    mark(tmp_path)
    distances = paths(bands, tmp_path).values[:, 0]
    assert (distances[:2] == MARK).all() and (distances[2:] < 5).all()
    assert len(list(tmp_path.iterdir())) == 4


def test_another_structure_is_measured_anew(tmp_path: Path) -> None:
    band = some_bands(1)[0]
    paths([band], tmp_path)
    mark(tmp_path)
    assert isinstance(band.cell, Cell)
    frac = band.cell.frac.copy()
    frac[7, 0] += 1e-9
    moved = replace(band, cell=Cell(band.cell.lattice, frac, band.cell.numbers))
    renamed = replace(band, name="the same by another name", target=9.0)
    distances = paths([moved, renamed], tmp_path).values[:, 0]
    assert distances[0] < 5 and distances[1] == MARK


@pytest.mark.parametrize("damage", ["", "{}", '{"values": {"ini_cn": "x"}, "failures": {}}', "[1]"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, damage: str) -> None:
    bands = some_bands(1)
    expected = paths(bands, tmp_path).values
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    file.write_text(damage)
    np.testing.assert_array_equal(paths(bands, tmp_path).values, expected)
    assert file.read_text() == whole


def test_failures_name_record_and_featurizer_from_the_cache_too(tmp_path: Path) -> None:
    cell = rock_salt_band()
    flat = Cell(np.diag([1e5, 4.2, 4.2]), cell.frac, cell.numbers)
    bands = [*some_bands(1), Band("no crystal", flat, 1.0)]
    first, second = paths(bands, tmp_path), paths(bands, tmp_path)
    assert first.failures == second.failures
    assert [(f.record, f.featurizer) for f in first.failures] == [
        ("no crystal", "Voronoi polyhedron (ini)"),
        ("no crystal", "Voronoi polyhedron (fin)"),
    ]
    column = first.names.index("ini_cn")
    np.testing.assert_array_equal(np.isnan(second.values[:, column]), [False, True])


def test_without_a_cache_there_are_still_features(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.warns(UserWarning, match="features were not cached"):
        found = paths(some_bands(1), occupied)
    assert np.isfinite(found.values[0, 0])


@pytest.mark.slow
def test_processes_agree(tmp_path: Path) -> None:
    bands = some_bands(3)
    one, two = paths(bands, tmp_path / "1"), paths(bands, tmp_path / "2", workers=2)
    np.testing.assert_array_equal(one.values, two.values)
    assert len(list((tmp_path / "2").iterdir())) == 3
