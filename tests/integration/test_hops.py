"""The command ``hops``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from tests.integration.command import assert_says, linegraph, refused
from training.read import read_bands


@pytest.fixture
def crystal(tmp_path: Path) -> Path:
    """Anti-perovskite Li3OCl."""
    structure = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.91), ["Cl", "O", "Li"], [[0, 0, 0], [0.5] * 3, [0, 0.5, 0.5]]
    )
    structure.to(filename=str(tmp_path / "Li3OCl.cif"))
    return tmp_path / "Li3OCl.cif"


def test_hops_are_listed_and_their_bands_predicted(
    crystal: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bands.json"
    shown = linegraph("hops", crystal, "--max-length", 3, "--out", out).output
    (row,) = [line for line in shown.splitlines() if "Li3ClO_1" in line]
    assert_says(row, "Li1-Li1", "2.765", "12")
    assert str(out) in shown
    (band,) = read_bands(out).bands
    assert band.name == "Li3ClO_1"
    # Nine primitive cells, without the vacancy and with five images for one ion.
    assert len(band.structures[0]) == 9 * 5 - 1 - 1 + 5
    predicted = linegraph("predict", out, "--weights", run).output
    assert_says(predicted, "Li3ClO_1", "eV")


def test_longer_hops_empty_sites_and_bent_paths(crystal: Path) -> None:
    assert len(rows(linegraph("hops", crystal, "--max-length", 4).output)) > 1
    near = linegraph("hops", crystal, "--max-length", 2, "--empty-site", 0.5, 0.25, 0.25).output
    assert all("empty" in line for line in rows(near))
    assert rows(linegraph("hops", crystal, "--max-length", 3, "--idpp").output)


def test_empty_sites_are_found(crystal: Path, tmp_path: Path) -> None:
    none = linegraph("hops", crystal, "--max-length", 3, "--find-empty-sites").output
    assert "no empty site is found that has room for the ion" in none
    assert len(rows(none)) == 1
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.62), ["O", "Li"], [[0, 0, 0], [0.25] * 3]
    )
    structure.to(filename=str(tmp_path / "Li2O.cif"))
    found = linegraph(
        "hops", tmp_path / "Li2O.cif", "--max-length", 2.1, "--find-empty-sites"
    ).output
    assert "empty1 at 0 0 0.5 (4 in the cell): 8 Li at 2.00 Å, 6 O at 2.31 Å" in found
    (row,) = [line for line in found.splitlines() if "Li2O_1" in line]
    assert_says(row, "Li1-empty1-1", "2.001", "32")


def rows(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if "Li3ClO_" in line]


def test_what_cannot_be_done_is_said(crystal: Path, tmp_path: Path) -> None:
    assert_says(refused("hops", crystal, "--ion", "Na"), crystal, "Na")
    assert_says(refused("hops", tmp_path / "none.cif"), tmp_path / "none.cif")
    assert_says(refused("hops", crystal, "--max-length", 1), crystal, "2.76")
