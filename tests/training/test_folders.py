from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linegraph.elements import SYMBOLS
from linegraph.errors import InputError
from linegraph.structure import Cell
from training.bands import Band
from training.read import read_bands

pytest.importorskip("pymatgen", reason="structure files need pymatgen")

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "barriers"
LATTICE = [[8.0, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, -0.25, 10.0]]


def a_cell(ion: str = "Mg", spacing: float = 0.0625) -> Cell:
    """Images that leave the cell, in a host whose Ca and Li sort before Mg and hold more of it."""
    images = [[0.25 - spacing * i, 0.5, 0.5] for i in range(5)]
    host = [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.5, 0.0, 0.5], [0.75, 0.75, 0.25]]
    numbers = [SYMBOLS.index(s) + 1 for s in [ion] * 5 + ["O", "Ca", "Mg", "Li", "O"]]
    return Cell(LATTICE, images + host, numbers)


def write_structure(path: Path, cell: Cell) -> None:
    from pymatgen.core.structure import Structure

    symbols = [SYMBOLS[z - 1] for z in cell.numbers]
    structure = Structure(cell.lattice, symbols, cell.frac, to_unit_cell=False)
    path.write_text(structure.to(fmt="cif" if path.suffix == ".cif" else "poscar"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bands"
    folder.mkdir()
    for name in ("A_1.cif", "A_2.vasp", "POSCAR_B"):
        write_structure(folder / name, a_cell())
    (folder / "notes.txt").write_text("not a band")
    (folder / ".hidden.cif").write_text("not a band")
    (folder / "targets.csv").write_text("file,target_eV\nA_2.vasp,0.5\nA_1.cif,0.25\nPOSCAR_B,\n")
    return folder


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_bands(path)
    return str(caught.value)


def test_images_in_a_folder_may_be_wrapped(folder: Path) -> None:
    plain = read_bands(folder).bands[0].structures[0]
    cell = a_cell()
    wrapped = Cell(cell.lattice, (cell.frac - [0.1, 0, 0]) % 1.0, cell.numbers)
    assert np.abs(np.diff(wrapped.frac[:5], axis=0)).max() > 0.5
    write_structure(folder / "A_2.vasp", wrapped)
    (found,) = [band.structures[0] for band in read_bands(folder).bands if band.name == "A_2"]
    np.testing.assert_allclose(np.diff(found.frac[:5], axis=0), np.diff(plain.frac[:5], axis=0))


def test_rows_become_bands_in_the_order_of_the_table(folder: Path) -> None:
    found = read_bands(folder)
    assert [(b.name, b.target, b.system) for b in found.bands] == [
        ("A_2", 0.5, "A"),
        ("A_1", 0.25, "A"),
        ("POSCAR_B", None, "POSCAR_B"),
    ]


def test_all_columns(folder: Path) -> None:
    (folder / "targets.csv").write_bytes(
        b"\xef\xbb\xbfname, file,target_eV,system,class,source\r\n"
        b"first,A_1.cif,2.5e-1,S,LAYERED,measured\r\n\r\n"
        b",A_2.vasp,,,,\r\n"
        b"third,POSCAR_B,1,,,\r\n"
    )
    first, second, third = read_bands(folder).bands
    assert (first.name, first.system, first.family) == ("first", "S", "LAYERED")
    assert (first.target, first.source) == (0.25, "measured")
    assert (second.name, second.system, second.target) == ("A_2", "A", None)
    assert (third.name, third.target) == ("third", 1.0)


def test_a_name_can_tell_the_file(folder: Path) -> None:
    (folder / "targets.csv").write_text("name,target_eV\nA_1,1\nA_2.vasp,2\nPOSCAR_B,3\n")
    found = read_bands(folder).bands
    assert [(b.name, b.target) for b in found] == [("A_1", 1), ("A_2.vasp", 2), ("POSCAR_B", 3)]


def test_without_a_table_there_are_no_targets(folder: Path) -> None:
    (folder / "targets.csv").unlink()
    found = read_bands(folder).bands
    assert [(b.name, b.target) for b in found] == [
        ("A_1", None),
        ("A_2", None),
        ("POSCAR_B", None),
    ]


def test_any_single_csv_is_the_table(folder: Path) -> None:
    (folder / "targets.csv").rename(folder / "barriers.csv")
    assert read_bands(folder).bands[0].target == 0.5


def test_targets_csv_goes_before_others(folder: Path) -> None:
    (folder / "other.csv").write_text("something else")
    assert read_bands(folder).bands[0].target == 0.5


def test_bands_keep_dots_in_their_names(folder: Path) -> None:
    for old, new in {"A_1.cif": "Ca0.5MnF3_1.cif", "POSCAR_B": "POSCAR_Ca1.5"}.items():
        (folder / old).rename(folder / new)
    (folder / "targets.csv").unlink()
    assert [b.name for b in read_bands(folder).bands] == ["A_2", "Ca0.5MnF3_1", "POSCAR_Ca1.5"]


@pytest.mark.parametrize("name", ["a.cif", "a.vasp"])
@pytest.mark.parametrize("ion", ["Li", "Mg", "O"])
@pytest.mark.parametrize("spacing", [0.05, 0.0625, 0.275])
def test_files_keep_order_number_and_path(
    tmp_path: Path, name: str, ion: str, spacing: float
) -> None:
    cell = a_cell(ion, spacing)
    write_structure(tmp_path / name, cell)
    (band,) = read_bands(tmp_path).bands
    assert band.cell.numbers.tolist() == cell.numbers.tolist()
    np.testing.assert_allclose(band.cell.frac, cell.frac, atol=1e-7)
    # The cell of a CIF may be turned, so lengths and angles are what can be compared.
    metric = cell.lattice @ cell.lattice.T
    np.testing.assert_allclose(band.cell.lattice @ band.cell.lattice.T, metric, atol=1e-5)


def test_ase_writes_files_that_can_be_read(tmp_path: Path) -> None:
    from ase import Atoms
    from ase.io import write

    cell = a_cell()
    atoms = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.frac, pbc=True)
    write(tmp_path / "a.cif", atoms, wrap=False)
    write(tmp_path / "b.vasp", atoms, format="vasp", direct=True)
    for band in read_bands(tmp_path).bands:
        assert band.cell.numbers.tolist() == cell.numbers.tolist()
        np.testing.assert_allclose(band.cell.cart[4] - band.cell.cart[0], [-2, 0, 0], atol=1e-4)


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the published barriers are not at ../shared/data/barriers"
)
@pytest.mark.parametrize("ending", ["cif", "vasp"])
def test_published_bands_survive_structure_files(tmp_path: Path, ending: str) -> None:
    bands = [b for b in read_bands(DATA / "test.json.gz").bands if len(b.cell) < 80]
    assert len(bands) > 10
    for band in bands:
        write_structure(tmp_path / f"{band.name}.{ending}", band.cell)
    found: dict[str, Band] = {band.name: band for band in read_bands(tmp_path).bands}
    assert found.keys() == {band.name for band in bands}
    for band in bands:
        again = found[band.name]
        assert again.system == band.system
        assert again.cell.numbers.tolist() == band.cell.numbers.tolist()
        np.testing.assert_allclose(again.cell.frac, band.cell.frac, atol=1e-7)


TABLES: dict[str, tuple[str, str, str]] = {
    "no rows": ("file,target_eV\n", "", "no rows"),
    "empty": ("", "", "no rows"),
    "misspelt column": (
        "file,target_ev\nA_1.cif,1\n",
        "field target_ev",
        "unknown column 'target_ev'; nearest is 'target_eV'",
    ),
    "unknown column": (
        "file,zzz\nA_1.cif,1\n",
        "field zzz",
        "unknown column 'zzz'; known are file",
    ),
    "semicolons": (
        "file;target_eV\nA_1.cif;0,5\n",
        "",
        "the first line is 'file;target_eV': put commas between columns",
    ),
    "tabs": ("file\ttarget_eV\nA_1.cif\t1\n", "", "put commas between columns"),
    "spreadsheet": ("PK\x03\x04", "", "is a spreadsheet: save it as CSV"),
    "column twice": ("file,file\nA_1.cif,1\n", "field file", "two columns"),
    "no file column": ("target_eV,class\n1,x\n", "field file", "no column"),
    "too few cells": (
        "file,target_eV\nA_1.cif\n",
        "record 'A_1.cif' (line 2)",
        "1 cells, but there are 2 columns",
    ),
    "open quote": ('file,target_eV\n"A_1.cif,1\n', "", "no valid CSV"),
}


@pytest.mark.parametrize(("text", "place", "fragment"), TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_bad_table_is_named(
    folder: Path, text: str, place: str, fragment: str, skip_bad: bool
) -> None:
    (folder / "targets.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_bands(folder, skip_bad=skip_bad)
    message = str(caught.value)
    assert message.startswith(str(folder / "targets.csv"))
    assert place in message
    assert fragment in message


def test_a_table_in_another_encoding_is_named(folder: Path) -> None:
    (folder / "targets.csv").write_bytes("file,class\nA_1.cif,höhe\n".encode("latin-1"))
    assert message_of(folder).startswith(f"{folder / 'targets.csv'}: no valid CSV in UTF-8")


REST = "A_2.vasp,1\nPOSCAR_B,1\n"
ROWS: dict[str, tuple[str, str, str]] = {
    "file missing": ("C.cif,1", "'C.cif' (line 2), field file", "no such file"),
    "another folder": ("../C.cif,1", "'../C.cif' (line 2), field file", "in the folder itself"),
    "no file told": (",1", "line 2, field file", "empty"),
    "target text": ("A_1.cif,high", "'A_1.cif' (line 2), field target_eV", "got 'high'"),
    "target comma": ('A_1.cif,"0,5"', "'A_1.cif' (line 2), field target_eV", "got '0,5'"),
    "target NaN": ("A_1.cif,nan", "'A_1.cif' (line 2), field target_eV", "NaN"),
    "target infinite": ("A_1.cif,inf", "'A_1.cif' (line 2), field target_eV", "infinite"),
}


@pytest.mark.parametrize(("row", "place", "fragment"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_is_named(folder: Path, row: str, place: str, fragment: str) -> None:
    (folder / "targets.csv").write_text(f"file,target_eV\n{row}\n{REST}")
    message = message_of(folder)
    assert message.startswith(f"{folder / 'targets.csv'}, record {place}: ")
    assert fragment in message

    kept = read_bands(folder, skip_bad=True)
    assert [band.name for band in kept.bands] == ["A_2", "POSCAR_B"]
    assert str(kept.skipped[0]) == message


def test_one_file_is_one_band(folder: Path) -> None:
    (folder / "targets.csv").write_text(f"file,target_eV\n{REST}A_1.cif,1\nA_1.cif,2\n")
    place = "record 'A_1.cif' (line 5), field file: A_1.cif is that of 'A_1.cif' (line 4) already"
    assert place in message_of(folder)


def test_names_are_unique(folder: Path) -> None:
    (folder / "targets.csv").write_text("file,name\nA_1.cif,x\nA_2.vasp,x\nPOSCAR_B,y\n")
    place = "record 'A_2.vasp' (line 3), field name: same name 'x' as 'A_1.cif' (line 2)"
    assert place in message_of(folder)


@pytest.mark.parametrize("name", ["C", "A_1"])
def test_a_name_must_tell_exactly_one_file(folder: Path, name: str) -> None:
    write_structure(folder / "A_1.vasp", a_cell())
    (folder / "targets.csv").write_text(f"name\n{name}\n")
    found = "none" if name == "C" else "A_1.cif, A_1.vasp"
    place = f"record '{name}' (line 2), field name: one structure file must have this name"
    assert f"{place}, found {found}" in message_of(folder)


def test_files_that_the_table_forgets_are_named(folder: Path) -> None:
    (folder / "targets.csv").write_text("file,target_eV\nA_1.cif,1\n")
    message = message_of(folder)
    assert message.startswith(f"{folder / 'targets.csv'}, record 'A_2.vasp', field file: ")
    assert "A_2.vasp is not in the table" in message
    kept = read_bands(folder, skip_bad=True)
    assert [s.record for s in kept.skipped] == ["'A_2.vasp'", "'POSCAR_B'"]


def test_several_tables_are_named(folder: Path) -> None:
    (folder / "targets.csv").rename(folder / "a.csv")
    (folder / "b.csv").write_text("file\n")
    assert message_of(folder).startswith(f"{folder}: several tables (a.csv, b.csv)")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    assert message_of(tmp_path).startswith(f"{tmp_path}: holds neither")


def cif(*atoms: str, head: str = "") -> str:
    """A CIF of five Li and the given atom rows."""
    sites = [f"Li Li{i} 0.{i} 0.5 0.5 1" for i in range(5)] + list(atoms)
    columns = ["type_symbol", "label", "fract_x", "fract_y", "fract_z", "occupancy"]
    return "\n".join(
        [
            "data_x",
            *(f"_cell_length_{axis} 9.0" for axis in "abc"),
            *(f"_cell_angle_{angle} 90.0" for angle in ("alpha", "beta", "gamma")),
            head,
            "loop_",
            *(f" _atom_site_{column}" for column in columns),
            *sites,
            "",
        ]
    )


HOST = "O2- O1 0.0 0.0 0.0 1"
TWO_BLOCKS = cif(HOST) + cif(HOST).replace("data_x", "data_y")
STRUCTURES: dict[str, tuple[str, str, str]] = {
    "no CIF": ("A_1.cif", "hello", "has no _atom_site_fract_x"),
    "CIF of two": ("A_1.cif", TWO_BLOCKS, "holds 2 structures"),
    "CIF with symmetry": (
        "A_1.cif",
        cif(HOST, head="loop_\n _symmetry_equiv_pos_as_xyz\n 'x, y, z'\n '-x, -y, -z'"),
        "symmetry-distinct",
    ),
    "CIF by space group": ("A_1.cif", cif(HOST, head="_space_group_IT_number 2"), "symmetry"),
    "CIF without cell": ("A_1.cif", cif(HOST).replace("_cell_length_b", "_b"), "field lattice"),
    "CIF without label": ("A_1.cif", cif(HOST).replace("_fract_z", "_z"), "cannot be read as CIF"),
    "CIF no number": ("A_1.cif", cif("O O1 0 ? 0 1"), "cannot be read as CIF"),
    "CIF half occupied": (
        "A_1.cif",
        cif(HOST, "O O2 0 0 0.5 0.5"),
        "field elements: atom 6 is partially occupied",
    ),
    "CIF unknown element": ("A_1.cif", cif("Xx X1 0 0 0 1"), "field elements: atom 5: unknown"),
    "CIF images differ": (
        "A_1.cif",
        cif(HOST).replace("Li Li3", "Na Na3"),
        "field elements: atoms 0 to 4, the images of one ion, differ: Li Li Li Na Li",
    ),
    "CIF one site": ("A_1.cif", cif(HOST, "O O2 1 1 1 1"), "field coords: atoms 5 and 6"),
    "no POSCAR": ("POSCAR_B", "hello", "cannot be read as a structure"),
    "POSCAR of four": (
        "POSCAR_B",
        "x\n1.0\n9 0 0\n0 9 0\n0 0 9\nLi\n4\ndirect\n0 0 0\n0 0 .5\n0 .5 0\n.5 0 0\n",
        "field elements: 4 atoms",
    ),
    "POSCAR with NaN": (
        "POSCAR_B",
        "x\n1.0\n9 0 0\n0 9 0\n0 0 9\nLi\n5\ndirect\n"
        + "".join(f"0 0 .{i}\n" for i in range(4))
        + "0 0 nan\n",
        "field coords: coordinate of atom 4",
    ),
}


@pytest.mark.parametrize(("name", "text", "fragment"), STRUCTURES.values(), ids=STRUCTURES.keys())
def test_a_bad_structure_file_is_named(folder: Path, name: str, text: str, fragment: str) -> None:
    (folder / name).write_text(text)
    message = message_of(folder)
    line = {"A_1.cif": 3, "POSCAR_B": 4}[name]
    assert message.startswith(f"{folder / name}, record '{name}' (line {line})")
    assert fragment in message
    assert "\n" not in message
    assert len(read_bands(folder, skip_bad=True).bands) == 2


@pytest.mark.parametrize("name", ["C.cif.gz", "C.mcif"])
def test_other_kinds_of_cif_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text(cif(HOST))
    (folder / "targets.csv").write_text(f"file\n{name}\n")
    message = message_of(folder)
    assert message.startswith(f"{folder / name}, record '{name}' (line 2): ")
    assert "only plain .cif" in message


def test_the_smallest_cif_reads(folder: Path) -> None:
    (folder / "A_1.cif").write_text(cif(HOST))
    band = read_bands(folder).bands[1]
    assert band.cell.numbers.tolist() == [3] * 5 + [8]
    np.testing.assert_allclose(band.cell.frac[:, 0], [0.0, 0.1, 0.2, 0.3, 0.4, 0.0])


def test_fingerprint_follows_names_and_contents_only(folder: Path) -> None:
    before = read_bands(folder).fingerprint
    assert len(before) == 64
    (folder / "notes.txt").write_text("changed")
    moved = folder.rename(folder.with_name("moved"))
    assert read_bands(moved).fingerprint == before
    (moved / "targets.csv").write_text("file,target_eV\nA_2.vasp,0.75\nA_1.cif,0.25\nPOSCAR_B,\n")
    changed_target = read_bands(moved).fingerprint
    write_structure(moved / "A_1.cif", a_cell("Li"))
    assert len({before, changed_target, read_bands(moved).fingerprint}) == 3
