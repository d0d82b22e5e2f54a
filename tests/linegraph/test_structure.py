"""Structures from all that users have, and every way that they can be wrong."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linegraph import Cell, InputError
from linegraph.hops import hops
from linegraph.reading import as_cell
from linegraph.structure import MAX_Z

from .. import crystals
from ..threads import in_threads

pytest.importorskip("pymatgen", reason="structures of pymatgen")
pytest.importorskip("ase", reason="structures of ASE")

from ase import Atoms
from pymatgen.core import DummySpecies, Lattice, Molecule, Structure

LATTICE = [[8.0, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, -0.25, 10.0]]
FRAC = [[0.125, 0.25, 0.5], [0.75, 0.5, 0.0625], [0.375, 0.875, 0.25]]
CELL = Cell(LATTICE, FRAC, [3, 26, 8])
SYMBOLS = ["Li", "Fe", "O"]
CUBE = np.eye(3) * 4


def assert_same(ours: Cell, theirs: Cell = CELL, digits: float = 1e-12) -> None:
    np.testing.assert_allclose(ours.lattice, theirs.lattice, rtol=0, atol=10 * digits)
    np.testing.assert_allclose(ours.frac, theirs.frac, rtol=0, atol=digits)
    np.testing.assert_array_equal(ours.numbers, theirs.numbers)
    for field in ("lattice", "frac"):
        assert getattr(ours, field).dtype == np.float64
    assert ours.numbers.dtype == np.int64


def message(make: Any, *args: Any) -> str:
    with pytest.raises(InputError) as error:
        make(*args)
    return str(error.value)


def test_cell_is_one_already() -> None:
    assert as_cell(CELL) is CELL
    assert len(CELL) == 3
    np.testing.assert_allclose(CELL.cart[0], [0.125 * 8 + 0.25 * 0.5, 0.25 * 9 - 0.5 * 0.25, 5.0])


def test_pymatgen() -> None:
    assert_same(as_cell(Structure(LATTICE, SYMBOLS, FRAC)))
    charged = Structure(LATTICE, ["Li+", "Fe3+", "O2-"], FRAC)
    assert_same(as_cell(charged))
    outside = np.add(FRAC, [[1, 0, 0], [0, -2, 0], [0, 0, 0]])
    assert_same(as_cell(Structure(LATTICE, SYMBOLS, outside)), Cell(LATTICE, outside, [3, 26, 8]))
    assert as_cell(Structure(LATTICE, ["D"], FRAC[:1])).numbers.tolist() == [1]


def test_ase() -> None:
    atoms = Atoms(SYMBOLS, scaled_positions=FRAC, cell=LATTICE, pbc=True)
    assert_same(as_cell(atoms))
    atoms.positions[1] += 3 * np.array(LATTICE[1])
    outside = np.add(FRAC, [[0, 0, 0], [0, 3, 0], [0, 0, 0]])
    assert_same(as_cell(atoms), Cell(LATTICE, outside, [3, 26, 8]))


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.vasp", "POSCAR_relaxed", "b.CIF"])
@pytest.mark.parametrize("kind", [str, Path])
def test_files(tmp_path: Path, name: str, kind: Any) -> None:
    path = tmp_path / name
    structure = Structure(LATTICE, SYMBOLS, FRAC)
    path.write_text(structure.to(fmt="cif" if name.lower().endswith("cif") else "poscar"))
    ours = as_cell(kind(path))
    lengths = np.linalg.norm(ours.lattice, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(LATTICE, axis=1), atol=1e-6)
    # A CIF holds lengths and angles, so the crystal may be turned.
    np.testing.assert_allclose(
        ours.lattice @ ours.lattice.T, np.array(LATTICE) @ np.transpose(LATTICE), atol=1e-5
    )
    assert_same(Cell(LATTICE, ours.frac, ours.numbers), digits=1e-7)


def test_without_atoms() -> None:
    assert_same(CELL.without([0, 2]), Cell(LATTICE, FRAC[1:2], [26]))
    assert_same(CELL.without(slice(1, None)), Cell(LATTICE, FRAC[:1], [3]))
    assert_same(CELL.without([]))
    assert message(CELL.without, [0, 1, 2]) == "field elements: there are no atoms"


def test_cell_keeps_copies_of_its_arrays() -> None:
    lattice, frac, numbers = np.array(LATTICE), np.array(FRAC), np.array([3, 26, 8])
    cell = Cell(lattice, frac, numbers)
    lattice += 1
    frac += 1
    numbers += 1
    assert_same(cell)
    with pytest.raises(AttributeError):
        cell.lattice = lattice  # type: ignore[misc]


NAN, INF = float("nan"), float("inf")
WRONG_CELLS = {
    "lattice of a wrong shape": (
        (np.eye(2), FRAC, [3, 26, 8]),
        "field lattice: expected 3 x 3 numbers, got shape (2, 2)",
    ),
    "lattice parameters": (
        ([4, 4, 4, 90, 90, 90], [[0, 0, 0]], [3]),
        "field lattice: expected 3 x 3 numbers, got shape (6,)",
    ),
    "no atoms": ((CUBE, np.empty((0, 3)), []), "field elements: there are no atoms"),
    "one number": ((CUBE, [[0, 0, 0]], 3), "field elements: there are no atoms"),
    "fewer coordinates": (
        (CUBE, FRAC[:2], [3, 26, 8]),
        "field coords: 3 elements but coordinates of shape (2, 3)",
    ),
    "flat coordinates": (
        (CUBE, [0, 0, 0], [3]),
        "field coords: 1 elements but coordinates of shape (3,)",
    ),
    "lattice of NaN": (
        ([[NAN, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0]], [3]),
        "field lattice: a lattice vector is NaN or infinite",
    ),
    "infinite lattice": (
        ([[INF, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0]], [3]),
        "field lattice: a lattice vector is NaN or infinite",
    ),
    "coordinates of NaN": (
        (CUBE, [[0, 0, 0], [0, NAN, 0], [INF, 0, 0]], [3, 26, 8]),
        "field coords: coordinate of atom 1 is NaN or infinite",
    ),
    "missing coordinate": (
        (CUBE, [[0, None, 0]], [3]),
        "field coords: coordinate of atom 0 is NaN or infinite",
    ),
    "flat lattice": (
        ([[1, 0, 0], [0, 1, 0], [1, 1, 0]], [[0, 0, 0]], [3]),
        "field lattice: the lattice is singular (its cell has no volume)",
    ),
    "lattice vector of no length": (
        ([[4, 0, 0], [0, 4, 0], [0, 0, 1e-9]], [[0, 0, 0]], [3]),
        "field lattice: the lattice is singular (its cell has no volume)",
    ),
    "no element": (
        (CUBE, FRAC, [3, 0, 8]),
        "field elements: atom 1 has atomic number 0; known are 1 to 103",
    ),
    "element too heavy": (
        (CUBE, FRAC, [3, 26, MAX_Z + 1]),
        "field elements: atom 2 has atomic number 104; known are 1 to 103",
    ),
    "half an element": ((CUBE, [[0, 0, 0]], [8.5]), "field elements: not whole numbers"),
    "symbols": ((CUBE, FRAC, SYMBOLS), "field elements: not an array of numbers"),
    "number too large": ((CUBE, [[0, 0, 0]], [10**30]), "field elements: not an array of numbers"),
    "ragged lattice": (([[1, 0, 0], [0, 1]], FRAC, [3]), "field lattice: not an array of numbers"),
    "words": ((CUBE, [["a", "b", "c"]], [3]), "field coords: not an array of numbers"),
    "nothing": ((CUBE, [[0, 0, 0]], [None]), "field elements: not an array of numbers"),
}


@pytest.mark.parametrize("name", WRONG_CELLS)
def test_wrong_cells(name: str) -> None:
    arrays, problem = WRONG_CELLS[name]
    assert message(Cell, *arrays) == problem


def test_needles_and_skewed_cells_are_no_mistakes() -> None:
    Cell(np.diag([2.9, 2.9, 120.0]), [[0, 0, 0]], [3])
    Cell([[4, 0, 0], [40, 4, 0], [0, 0, 4]], [[0, 0, 0]], [3])
    Cell(np.diag([4.0, 4.0, -4.0]), [[0, 0, 0]], [3])


def half_occupied() -> Structure:
    return Structure(CUBE, ["O", {"Li": 0.5, "Na": 0.5}], [[0, 0, 0], [0.5] * 3])


WRONG_STRUCTURES = {
    "disordered": (
        half_occupied,
        r"field elements: site 1 \(.*\) is partially occupied; order the structure first",
    ),
    "vacancies": (
        lambda: Structure(CUBE, [{"Li": 0.5}], [[0, 0, 0]]),
        r"field elements: site 0 \(Li:0.50*\) is partially occupied; order the structure first",
    ),
    "dummy": (
        lambda: Structure(CUBE, ["O", DummySpecies("Xa", 1)], [[0, 0, 0], [0.5] * 3]),
        r"field elements: Xa.* is no element",
    ),
    "empty": (lambda: Structure(CUBE, [], []), "field elements: there are no atoms"),
    "too heavy": (
        lambda: Structure(CUBE, ["Rf"], [[0, 0, 0]]),
        "field elements: atom 0 has atomic number 104; known are 1 to 103",
    ),
    "slab of pymatgen": (
        lambda: Structure(Lattice(CUBE, pbc=(True, True, False)), ["Li"], [[0, 0, 0]]),
        "field pbc: the structure is not periodic in all three directions",
    ),
    "NaN": (
        lambda: Structure(CUBE, ["Li"], [[0, NAN, 0]]),
        "field coords: coordinate of atom 0 is NaN or infinite",
    ),
    "slab of ASE": (
        lambda: Atoms("Li", cell=CUBE, pbc=[True, True, False]),
        "field pbc: the structure is not periodic in all three directions",
    ),
    "molecule of ASE": (
        lambda: Atoms("Li"),
        "field pbc: the structure is not periodic in all three directions",
    ),
    "ASE without a cell": (
        lambda: Atoms("Li", pbc=True),
        r"field lattice: the lattice is singular \(its cell has no volume\)",
    ),
    "ASE without atoms": (
        lambda: Atoms(cell=CUBE, pbc=True),
        "field elements: there are no atoms",
    ),
    "unknown atom of ASE": (
        lambda: Atoms("LiX", positions=[[0, 0, 0], [2, 2, 2]], cell=CUBE, pbc=True),
        "field elements: atom 1 has atomic number 0; known are 1 to 103",
    ),
    "ASE of NaN": (
        lambda: Atoms("Li", positions=[[0, 0, NAN]], cell=CUBE, pbc=True),
        "field coords: coordinate of atom 0 is NaN or infinite",
    ),
    "molecule of pymatgen": (
        lambda: Molecule(["Li"], [[0, 0, 0]]),
        "Molecule is no structure: give a pymatgen Structure, ASE Atoms or a path",
    ),
    "a number": (
        lambda: 5,
        "int is no structure: give a pymatgen Structure, ASE Atoms or a path",
    ),
    "nothing": (
        lambda: None,
        "NoneType is no structure: give a pymatgen Structure, ASE Atoms or a path",
    ),
}


@pytest.mark.parametrize("name", WRONG_STRUCTURES)
def test_wrong_structures(name: str) -> None:
    make, problem = WRONG_STRUCTURES[name]
    assert re.fullmatch(problem, message(as_cell, make()))


def test_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    assert message(as_cell, path) == f"{path}: no such file"
    assert message(as_cell, str(path)) == f"{path}: no such file"
    assert message(as_cell, tmp_path) == f"{tmp_path}: is a folder"
    link, pipe = tmp_path / "link.cif", tmp_path / "pipe.cif"
    link.symlink_to(path)
    os.mkfifo(pipe)
    assert message(as_cell, link) == f"{link}: is a link to a file that is not there"
    assert message(as_cell, pipe) == f"{pipe}: is no regular file"


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.vasp", "notes.txt", "a.json"])
@pytest.mark.parametrize("content", [b"", b"no structure\nat all\n", bytes(range(256))])
def test_unreadable_files(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = message(as_cell, path)
    reasons = "cannot be read|has no _atom_site|is empty|is no text"
    assert re.match(rf"{re.escape(str(path))}: ({reasons})", text)
    assert "\n" not in text


def test_cif_with_symmetry(tmp_path: Path) -> None:
    salt = Structure.from_spacegroup("Fm-3m", CUBE, ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    path = tmp_path / "a.cif"
    salt.to(str(path), symprec=0.01)
    assert path.read_text().count("Na") < 8
    assert sorted(as_cell(path).numbers.tolist()) == [11] * 4 + [17] * 4


def test_cif_with_isotopes_and_names_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    Structure(CUBE, ["Ti", "H", "O"], [[0.0] * 3, [0.5] * 3, [0.5, 0.0, 0.0]]).to(str(path))
    text = re.sub(r"(?m)^( *)H( +)H0", r"\1D\2D0", path.read_text())
    text = re.sub(r"(?m)^( *)H( +)H", r"\1D\2D", text)
    assert " D " in text
    path.write_bytes(b"# H\xe4gg (1931)\n" + text.encode())
    assert as_cell(path).numbers.tolist() == [22, 1, 8]


def test_wrong_structures_in_files_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    half_occupied().to(str(path))
    with pytest.raises(InputError, match="is partially occupied") as error:
        as_cell(path)
    assert error.value.file == path
    assert error.value.field == "elements"


def test_poscar_without_elements_is_not_hydrogen(tmp_path: Path) -> None:
    """Old files name none, and pymatgen would make the first kind H, the second He."""
    path = tmp_path / "POSCAR"
    path.write_text("old\n1.0\n4 0 0\n0 4 0\n0 0 4\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")
    assert "Elements in POSCAR cannot be determined" in message(as_cell, path)


def test_poscar_without_elements_is_refused_in_every_thread(tmp_path: Path) -> None:
    """pymatgen says it by a warning, and what becomes of warnings is the whole process's."""
    without, named = tmp_path / "POSCAR", tmp_path / "POSCAR-named"
    text = "old\n1.0\n4 0 0\n0 4 0\n0 0 4\n{}1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
    without.write_text(text.format(""))
    named.write_text(text.format("Li Cl\n"))
    cif = tmp_path / "a.cif"  # read with all warnings silenced
    Structure(CUBE, ["Na", "F"], [[0] * 3, [0.5] * 3]).to(str(cif))

    def read(i: int) -> list[int] | None:
        try:
            return as_cell((named, without, cif)[i % 3]).numbers.tolist()
        except InputError:
            return None

    found = in_threads(read, 450)
    assert found == [[3, 17], None, [11, 9]] * 150


def test_what_looks_for_hops_leaves_warnings_as_they_are(tmp_path: Path) -> None:
    """In one thread, while files are read in another."""
    without = tmp_path / "POSCAR"
    without.write_text("old\n1.0\n4 0 0\n0 4 0\n0 0 4\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")

    def work(i: int) -> list[int] | None:
        if i % 2:
            hops(Cell(np.eye(3) * (4 + 1e-4 * i), [[0] * 3, [0.5] * 3], [3, 9]))
            return None
        try:
            return as_cell(without).numbers.tolist()
        except InputError:
            return None

    before = list(warnings.filters)
    found = in_threads(work, 300)
    assert found == [None] * 300
    assert list(warnings.filters) == before


def test_without_pymatgen(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.cif"
    Structure(LATTICE, SYMBOLS, FRAC).to(str(path))
    monkeypatch.setitem(sys.modules, "pymatgen.core", None)
    assert message(as_cell, path) == (
        f"{path}: reading structure files needs pymatgen: pip install pymatgen"
    )
    assert_same(as_cell(Atoms(SYMBOLS, scaled_positions=FRAC, cell=LATTICE, pbc=True)))


def test_errors_are_value_errors_with_their_place() -> None:
    error = InputError("is wrong", field="atoms")
    assert isinstance(error, ValueError)
    assert str(error) == "field atoms: is wrong"
    placed = error.at(file="a.json", record=3, field="other")
    assert str(placed) == "a.json, record 3, field atoms: is wrong"
    assert (placed.problem, placed.file, placed.record) == ("is wrong", "a.json", 3)
    assert str(placed.at(file="b.json", record=4)) == str(placed)
    assert str(InputError("is wrong")) == "is wrong"


def test_random_cells_survive_both_libraries() -> None:
    for seed in range(10):
        cell = crystals.random_cell(seed)
        structure = Structure(cell.lattice, cell.numbers.tolist(), cell.frac)
        assert_same(as_cell(structure), cell)
        atoms = Atoms(
            cell.numbers.tolist(), positions=cell.cart, cell=cell.lattice.tolist(), pbc=True
        )
        assert_same(as_cell(atoms), cell, 1e-10)
