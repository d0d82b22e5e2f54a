"""The graph-building benchmarks run, check what they compare, and count right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import neighbors, shells, timing
from linegraph import Cell, LineGraph, crystal_graph, expand


@pytest.fixture
def bands(tmp_path: Path) -> Path:
    """A file with one band of seven atoms."""
    path = [[0.1 + 0.1 * image, 0.0, 0.0] for image in range(5)]
    atoms = {
        "lattice_mat": [[4.1, 0.0, 0.0], [0.0, 4.3, 0.0], [0.0, 0.2, 4.6]],
        "coords": [*path, [0.5, 0.5, 0.45], [0.0, 0.5, 0.55]],
        "elements": ["Li"] * 5 + ["O", "Ti"],
        "cartesian": False,
    }
    file = tmp_path / "bands.json"
    file.write_text(json.dumps([{"sys_name": "LiTiO", "target": 0.4, "atoms": atoms}]))
    return file


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SHORTEST", 0.0)


def squeezed(gap: float) -> Cell:
    """One atom in a cell 3 x 3 x c: 14 neighbours, then 4 more ``gap`` (Å) further away."""
    c = np.sqrt((3 * np.sqrt(2) - gap) ** 2 - 9)
    return Cell(np.diag([3.0, 3.0, c]), [[0.2, 0.3, 0.4]], [29])


def run_neighbors(bands: Path) -> None:
    # No synthetic structure but the one-atom cell has so few atoms.
    out = str(bands.with_name("out.json"))
    small = ["--data", str(bands), "--largest", "10", "--seconds", "0"]
    neighbors.main([*small, "--json", out])


def test_neighbors_reports_every_structure_and_step(
    bands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_neighbors(bands)
    printed = capsys.readouterr().out
    report = json.loads(bands.with_name("out.json").read_text())
    assert {(row["structure"], row["radius"]) for row in report["libraries"]} == {
        (name, radius)
        for name in ("fcc", "smallest band", "median band", "largest band")
        for radius in neighbors.RADII
    }
    for row in report["libraries"]:
        assert row["differing"] == []
        assert row["times"]["vesin"]["wall"] > 0
        assert set(row["times"]) | set(row["left_out"]) == set(neighbors.LIBRARIES)
    # Shells of the face-centred cubic lattice within 5 Å hold 12, 6 and 24 atoms.
    assert report["libraries"][0]["pairs"] == 42
    for row in report["building"]:
        assert set(row["times"]) == {"shell_neighbors", "crystal_graph", "LineGraph"}
    assert report["machine"]["versions"]["vesin"] in printed


def test_missing_and_slow_libraries_are_named(
    bands: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(cell: Cell) -> neighbors.Search:
        raise ImportError

    monkeypatch.setitem(neighbors.LIBRARIES, "matscipy", missing)
    monkeypatch.setattr(neighbors, "ASE_LARGEST", 3)
    run_neighbors(bands)
    printed = capsys.readouterr().out
    assert "not installed" in printed
    assert "over 3 atoms" in printed


def test_libraries_that_disagree_are_an_error(
    bands: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_sighted(cell: Cell) -> neighbors.Search:
        search = neighbors.search_vesin(cell)
        return lambda radius: search(radius - 1.0)

    monkeypatch.setitem(neighbors.LIBRARIES, "pymatgen", short_sighted)
    with pytest.raises(SystemExit) as stop:
        run_neighbors(bands)
    assert stop.value.code not in (0, None)
    assert "not pymatgen" in capsys.readouterr().out


@pytest.mark.parametrize("run", [neighbors.main, shells.main])
def test_missing_file_is_one_message(
    run: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["--data", str(tmp_path / "none.json")])  # type: ignore[operator]
    assert stop.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_gap_is_measured_from_the_twelfth_neighbour() -> None:
    gap, tied = shells.gaps(squeezed(1e-4))
    assert gap == pytest.approx([1e-4], rel=1e-6)
    assert tied == 1  # the 14th is as far as the 12th


def test_gap_beyond_the_histogram_is_infinite() -> None:
    fcc = Cell(1.8 * (np.ones((3, 3)) - np.eye(3)), [[0, 0, 0]], [29])
    gap, tied = shells.gaps(fcc)
    assert gap.tolist() == [np.inf]
    assert tied == 0


def test_changed_entries_are_those_in_one_list_only() -> None:
    narrow, split = squeezed(3e-6), squeezed(3e-4)
    # Widths in between keep 18 neighbours of the one and 14 of the other.
    expected = [4 if 3e-6 < tol < 3e-4 else 0 for tol in shells.TOLERANCES]
    assert shells.changed_entries(narrow, split).tolist() == expected


def test_totals_are_those_of_the_literal_graph() -> None:
    # Small enough for bonds of atoms to their own images.
    cell = Cell(np.diag([3.0, 3.2, 3.5]), [[0.0, 0.0, 0.0], [0.4, 0.5, 0.6]], [3, 8])
    sums = shells.totals([cell])
    for name, canonical in (("literal", False), ("canonical", True)):
        literal = LineGraph()(expand(crystal_graph(cell, canonical=canonical)))
        assert sums[f"{name} bonds"] == literal.num_bonds
        assert sums[f"{name} triplets"] == literal.num_triplets
    assert sums["distinct triplets"] < sums["canonical triplets"] < sums["literal triplets"]


def test_shells_prints_its_four_tables(bands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shells.main(["--data", str(bands)])
    printed = capsys.readouterr().out
    assert printed.startswith("bands.json: 1 bands, 7 atoms")
    for title in ("Gap from", "Bonds by shell_tol", "when coordinates are rounded", "Totals"):
        assert title in printed
