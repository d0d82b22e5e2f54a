"""Bands are told from crystals."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from linegraph.hops import hops
from linegraph.structure import Cell
from linegraph.supercell import band_of
from tests.bands import some_bands
from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from tests.integration.test_cli import write_structure
from tests.linegraph.test_hops import STARTER, structure
from tests.training.test_trajectories import write_frames
from training.band_or_crystal import looks_like_band
from training.bands import IMAGES, Band
from training.data import load_bands
from training.read import read_bands
from training.records import write_bands
from training.screen.worker import read_crystal
from training.starter import starter_bands
from training.structures import read_given


def cell_of(made: Structure) -> Cell:
    return Cell(made.lattice.matrix, made.frac_coords, made.atomic_numbers)


def folder_of(folder: Path, bands: Sequence[Band]) -> Path:
    """A folder of POSCAR files and nothing else."""
    folder.mkdir()
    for band in bands:
        write_structure(folder / f"{band.name}.vasp", band)
    return folder


def longest_step(band: Band) -> float:
    steps = np.diff(band.structures[0].cart[:IMAGES], axis=0)
    return float(np.linalg.norm(steps, axis=1).max())


def supercells(folder: Path) -> Path:
    """Sorted supercells of crystals, whose first five atoms are of the ion."""
    folder.mkdir()
    for name in ("LiCoO2", "LiFePO4"):
        made = (structure(name) * (2, 2, 1)).get_sorted_structure(lambda site: site.specie.X)
        made.to(filename=str(folder / f"{name}.vasp"), fmt="poscar")
        assert len({made[i].species_string for i in range(5)}) == 1
    return folder


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
        assert not looks_like_band(cell_of(repeated))


@pytest.mark.parametrize(("ion", "edge"), [("Li", 4.55), ("Li", 4.3), ("H", 4.44)])
def test_ions_on_a_narrow_lattice_are_no_images(ion: str, edge: float) -> None:
    """Antifluorite and fluorite: steps as short as those of a path, but corners of a cube."""
    host, sites = {"Li": ("O", "Li"), "H": ("Ti", "H")}[ion]
    places = [[0.25, 0.25, 0.25], [0, 0, 0]]
    made = Structure.from_spacegroup("Fm-3m", Lattice.cubic(edge), [sites, host], places)
    by_height = (made * (1, 1, 3)).get_sorted_structure(
        key=lambda site: (site.specie.symbol != ion, *site.frac_coords.round(6))
    )
    for repeated in (made, made * (2, 2, 2), by_height):
        assert {repeated[i].specie.symbol for i in range(IMAGES)} == {ion}
        assert not looks_like_band(cell_of(repeated), ion)
    assert np.ptp(by_height.cart_coords[:IMAGES, :2], axis=0) == pytest.approx([0, 0])


def test_corners_of_a_cube_are_no_path() -> None:
    """Of a cluster by itself, with no such ions around it."""
    corners = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [2, 2, 2], [0, 2, 2]]
    cluster = np.array([*corners, [1, 1, 5]]) / 9
    assert not looks_like_band(Cell(9 * np.eye(3), cluster, [3] * 5 + [8]))


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 2, 1, 3, 4), (0, 1, 3, 2, 4)])
def test_bent_and_shuffled_paths_are_of_bands(order: tuple[int, ...]) -> None:
    """What is wrong with their order is said of them as bands."""
    (cell,) = some_bands(1)[0].structures
    angles = np.linspace(0, np.pi, IMAGES)
    half = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(IMAGES)])
    images = (cell.cart[2] + 1.2 * half)[list(order)]
    frac = np.concatenate([images @ np.linalg.inv(cell.lattice), cell.frac[IMAGES:]])
    assert looks_like_band(Cell(cell.lattice, frac, cell.numbers))


def test_bands_look_like_bands() -> None:
    for band in starter_bands():
        (cell,) = band.structures
        assert looks_like_band(cell), band.name


def test_paths_of_found_hops_look_like_bands() -> None:
    cell = structure("LiFePO4")
    for hop in hops(cell):
        assert looks_like_band(band_of(cell, hop))


def test_a_folder_of_crystals_is_no_data_set(tmp_path: Path) -> None:
    folder = supercells(tmp_path / "sup")
    assert message_of(lambda: read_given(folder)) == (
        f"{folder}, record 'LiCoO2': looks like a crystal, and no table says that it is a band: "
        "name the files (sup/*), or rank them with `screen`; `--as band` insists"
    )
    told = read_given(folder, "band")
    assert isinstance(told, list)
    assert [band.name for band in told] == ["LiCoO2", "LiFePO4"]
    assert [band.name for band in read_bands(folder).bands] == ["LiCoO2", "LiFePO4"]
    (folder / "targets.csv").write_text("name\nLiCoO2\nLiFePO4\n")
    assert isinstance(read_given(folder), list)
    assert message_of(lambda: read_given(folder, "crystal")).startswith(f"{folder}: is a folder")


def test_nor_is_one_of_what_cannot_be_bands(tmp_path: Path) -> None:
    """CIF files that leave atoms to symmetry, and first atoms of several elements."""
    folder = folder_of(tmp_path / "given", some_bands(1))
    for name in ("KCl.cif", "POSCAR_FePO4"):
        if name.endswith("cif"):
            structure("KCl").to(filename=str(folder / name), symprec=0.01)
        else:
            structure("FePO4").to(filename=str(folder / name))
        assert message_of(lambda: read_given(folder)).startswith(
            f"{folder}, record '{name}': looks like a crystal, and no table"
        )
        (folder / name).unlink()
    assert isinstance(read_given(folder), list)


def test_what_is_wrong_with_a_band_of_a_folder_is_still_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "given", some_bands(3))
    (folder / "torn.vasp").write_text("torn\n1.0\n4 0 0\n")
    line = message_of(lambda: read_given(folder))
    assert line.startswith(f"{folder / 'torn.vasp'}, record 'torn.vasp': cannot be read")


def test_folders_of_bands_are_read(tmp_path: Path) -> None:
    given = read_given(folder_of(tmp_path / "starter", starter_bands()))
    assert isinstance(given, list)
    assert len(given) == len(starter_bands())


@needs_data
def test_published_bands_are_read_from_a_folder(tmp_path: Path) -> None:
    """The shortest and the longest steps, and some small ones of every kind."""
    every = sorted(load_bands(SHARED / "data/barriers/train.json.gz").bands, key=longest_step)
    assert all(looks_like_band(band.structures[0]) for band in every)
    assert longest_step(every[-1]) == pytest.approx(2.24, abs=0.005)
    given = read_given(folder_of(tmp_path / "given", [*every[:4], *every[200:204], *every[-4:]]))
    assert isinstance(given, list)
    assert len(given) == 12


def test_the_ion_of_a_folder_may_be_an_unusual_one(tmp_path: Path) -> None:
    silver = []
    for band in some_bands(2):
        (cell,) = band.structures
        numbers = np.where(cell.numbers == 3, 47, cell.numbers)
        silver.append(replace(band, cell=Cell(cell.lattice, cell.frac, numbers)))
    folder = folder_of(tmp_path / "given", silver)
    assert "looks like a crystal" in message_of(lambda: read_given(folder))
    assert isinstance(read_given(folder, ion="Ag"), list)


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_a_structure_as_json_is_no_data_set(ending: str, tmp_path: Path) -> None:
    crystal, band, bands = (tmp_path / f"{name}{ending}" for name in ("crystal", "band", "bands"))
    host = structure("LiFePO4")
    ready = some_bands(1)[0].structures[0]
    made = Structure(ready.lattice, ready.numbers.tolist(), ready.frac)
    for path, one in ((crystal, host), (band, made)):
        text = json.dumps(one.as_dict()).encode("utf-8-sig")
        path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    write_bands(bands, some_bands(2))
    for kind in (None, "crystal"):
        read = read_given(crystal, kind)  # type: ignore[arg-type]
        assert isinstance(read, Cell)
        np.testing.assert_allclose(read.frac, host.frac_coords)
    assert read_crystal(crystal, None).numbers.tolist() == list(host.atomic_numbers)
    for kind in (None, "band"):
        read = read_given(band, kind)  # type: ignore[arg-type]
        assert isinstance(read, list)
        assert [one.name for one in read] == [str(band)]
    given = read_given(bands)
    assert isinstance(given, list)
    assert len(given) == 2
    other = tmp_path / "other.json"
    for text_, said in (
        ('\ufeff{"lattice": 1}', "expected a list of records, got an object"),
        ("{torn", "no valid JSON"),
        ("{" * 9999, "no valid JSON"),
    ):
        other.write_text(text_)
        assert message_of(lambda: read_given(other)).startswith(f"{other}: {said}")


@pytest.mark.parametrize("ending", [".traj", ".extxyz", ".xyz"])
def test_a_single_frame_is_a_structure_file(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("ase")
    crystal, band = (tmp_path / f"{name}{ending}" for name in ("crystal", "band"))
    host, ready = cell_of(structure("LiFePO4")), some_bands(1)[0].structures[0]
    write_frames(crystal, [host])
    write_frames(band, [ready])
    for kind in (None, "crystal"):
        read = read_given(crystal, kind)  # type: ignore[arg-type]
        assert isinstance(read, Cell)
        np.testing.assert_allclose(read.frac, host.frac, atol=1e-6)
    assert read_crystal(crystal, "Li").numbers.tolist() == host.numbers.tolist()
    for kind in (None, "band"):
        found = read_given(band, kind)  # type: ignore[arg-type]
        assert isinstance(found, list)
        assert [one.name for one in found] == [str(band)]
    assert isinstance(read_given(band, "crystal"), Cell)
    line = message_of(lambda: read_given(crystal, "band"))
    assert line.startswith(
        f"{crystal}, field elements: atoms 0 to 4, the images of one ion, differ"
    )
    write_frames(crystal, [host], pbc=False)
    assert message_of(lambda: read_given(crystal)).startswith(f"{crystal}, field pbc: ")
