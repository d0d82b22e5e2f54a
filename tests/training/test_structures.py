"""Bands are told from crystals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linegraph.hops import hops
from linegraph.structure import Cell
from linegraph.supercell import band_of
from tests.bands import some_bands
from tests.integration.test_cli import write_structure
from tests.linegraph.test_hops import STARTER, structure
from training.starter import starter_bands
from training.structures import looks_like_band, read_given


def test_the_ion_named_may_be_an_unusual_one(tmp_path: Path) -> None:
    path = tmp_path / "silver.cif"
    band = some_bands()[0]
    (cell,) = band.structures
    silver = Cell(cell.lattice, cell.frac, np.where(cell.numbers == 3, 47, cell.numbers))
    write_structure(path, replace(band, cell=silver))
    assert isinstance(read_given(path), Cell)
    assert isinstance(read_given(path, ion="Ag"), list)
    assert isinstance(read_given(path, "band"), list)
    assert isinstance(read_given(path, "crystal", "Ag"), Cell)


@pytest.mark.parametrize("name", STARTER)
def test_crystals_do_not_look_like_bands(name: str) -> None:
    made = structure(name)
    for repeated in (made, made * (2, 2, 2), (made * (1, 1, 5)).get_sorted_structure()):
        cell = Cell(repeated.lattice.matrix, repeated.frac_coords, repeated.atomic_numbers)
        assert not looks_like_band(cell)


def test_bands_look_like_bands() -> None:
    for band in starter_bands():
        (cell,) = band.structures
        assert looks_like_band(cell), band.name


def test_paths_of_found_hops_look_like_bands() -> None:
    cell = structure("LiFePO4")
    for hop in hops(cell):
        assert looks_like_band(band_of(cell, hop))
