"""VASP NEB folders become bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linegraph.errors import InputError
from linegraph.structure import Cell
from tests.bands import rock_salt_band
from training.bands import check_band
from training.read import read_bands
from training.structures import read_given

from .test_folders import write_structure
from .test_trajectories import images_of

pytest.importorskip("pymatgen", reason="structure files need pymatgen")


def write_run(folder: Path, images: list[Cell]) -> Path:
    """As VASP leaves it: the ends unrelaxed, a poor guess beside every relaxed image between."""
    for number, image in enumerate(images):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True)
        (place / "OUTCAR").write_text("not read")
        if number in (0, len(images) - 1):
            write_structure(place / "POSCAR", image)
            continue
        write_structure(place / "CONTCAR", image)
        guess = image.frac + np.where(np.arange(len(image)) == 3, 0.02, 0.0)[:, None]
        write_structure(place / "POSCAR", Cell(image.lattice, guess, image.numbers))
    return folder


def data_set(folder: Path) -> Path:
    """Three runs: of five images, of seven and of three."""
    for name, count in {"LiO_1": 5, "LiO_2": 7, "NaS": 3}.items():
        band = rock_salt_band(name[:2], "S" if name == "NaS" else "O")
        write_run(folder / name, images_of(band, count))
    return folder


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_bands(path)
    return str(caught.value)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("count", [3, 5, 7])
def test_a_run_is_one_band(tmp_path: Path, count: int, wrap: bool) -> None:
    band = rock_salt_band()
    moved = Cell(band.lattice, band.frac + [0.9, 0.7, 0.45], band.numbers)
    run = write_run(tmp_path / "LiO_3", images_of(moved, count, wrap))
    (read,) = read_bands(run).bands
    (cell,) = read.structures
    assert (read.name, read.system, read.target) == ("LiO_3", "LiO", None)
    assert cell.numbers.tolist() == band.numbers.tolist()
    np.testing.assert_allclose(np.diff(cell.frac[:5], axis=0), np.diff(band.frac[:5], axis=0))
    apart = cell.frac - moved.frac
    np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-9)
    check_band(cell)

    given = read_given(run)
    assert isinstance(given, list)
    assert [one.name for one in given] == ["LiO_3"]


def test_the_run_here_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_run(tmp_path / "here", images_of(rock_salt_band())))
    assert read_bands(".").bands[0].name == "here"


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_without_a_contcar_the_poscar_counts(tmp_path: Path, how: str) -> None:
    run = write_run(tmp_path / "run", images_of(rock_salt_band()))
    relaxed = read_bands(run).bands[0].structures[0]
    if how == "missing":
        (run / "02" / "CONTCAR").unlink()
    else:
        (run / "02" / "CONTCAR").write_text("")
    guess = read_bands(run).bands[0].structures[0]
    moved = np.zeros_like(relaxed.frac)
    moved[2] = 0.02
    np.testing.assert_allclose(guess.frac - relaxed.frac, moved, atol=1e-9)


def test_an_image_without_structure_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images_of(rock_salt_band()))
    for name in ("CONTCAR", "POSCAR"):
        (run / "02" / name).unlink()
    assert message_of(run) == f"{run / '02'}: holds neither CONTCAR nor POSCAR"


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images_of(rock_salt_band()))
    (run / "02").rename(run / "old")
    assert message_of(run) == f"{run}: has a subfolder 03, but no 02"


def test_a_bad_structure_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images_of(rock_salt_band()))
    (run / "03" / "CONTCAR").write_text("hello")
    assert message_of(run).startswith(f"{run / '03' / 'CONTCAR'}: cannot be read as a structure (")


def test_images_of_other_atoms_are_named(tmp_path: Path) -> None:
    images = images_of(rock_salt_band())
    images[4] = images[4].without([0])
    run = write_run(tmp_path / "run", images)
    expected = f"{run}, field elements: 04/POSCAR has 14 atoms, but 00/POSCAR 15"
    assert message_of(run) == expected


def test_a_folder_of_runs_is_a_data_set(tmp_path: Path) -> None:
    found = read_bands(data_set(tmp_path)).bands
    assert [(b.name, b.system, b.target) for b in found] == [
        ("LiO_1", "LiO", None),
        ("LiO_2", "LiO", None),
        ("NaS", "NaS", None),
    ]
    np.testing.assert_allclose(found[0].structures[0].frac, found[1].structures[0].frac, atol=1e-9)
    given = read_given(tmp_path)
    assert isinstance(given, list)
    assert len(given) == 3


def test_a_table_labels_the_runs(tmp_path: Path) -> None:
    data_set(tmp_path)
    (tmp_path / "targets.csv").write_text("name,target_eV,class\nNaS,0.5,X\nLiO_1,,\nLiO_2,1,\n")
    found = read_bands(tmp_path).bands
    assert [(b.name, b.target, b.family) for b in found] == [
        ("NaS", 0.5, "X"),
        ("LiO_1", None, ""),
        ("LiO_2", 1.0, ""),
    ]
    (tmp_path / "targets.csv").write_text("file,name\nNaS,a\nLiO_1,b\nLiO_2,c\n")
    assert [b.name for b in read_bands(tmp_path).bands] == ["a", "b", "c"]


def test_bad_rows_and_runs_are_named_and_can_be_skipped(tmp_path: Path) -> None:
    data_set(tmp_path)
    table = tmp_path / "targets.csv"
    table.write_text("name,target_eV\nLiO_1,1\nKF,2\nNaS,3\n")
    (tmp_path / "NaS" / "02" / "POSCAR").write_text("hello")
    kept = read_bands(tmp_path, skip_bad=True)
    assert [band.name for band in kept.bands] == ["LiO_1"]
    unknown, bad, forgotten = map(str, kept.skipped)
    assert unknown == (
        f"{table}, record 'KF' (line 3), field name: one NEB folder must have this name, found none"
    )
    assert bad.startswith(f"{tmp_path / 'NaS' / '02' / 'POSCAR'}, record 'NaS' (line 4): ")
    assert forgotten.endswith("NEB folder LiO_2 is not in the table")


def test_a_subfolder_that_is_no_run_is_named(tmp_path: Path) -> None:
    data_set(tmp_path)
    (tmp_path / "plots").mkdir()
    assert message_of(tmp_path).startswith(
        f"{tmp_path / 'plots'}, record 'plots': is no NEB folder of VASP"
    )
    assert len(read_bands(tmp_path, skip_bad=True).bands) == 3


def test_structure_files_go_before_runs_beside_them(tmp_path: Path) -> None:
    data_set(tmp_path)
    write_structure(tmp_path / "a.cif", rock_salt_band())
    assert [band.name for band in read_bands(tmp_path).bands] == ["a"]


def test_the_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    def fingerprint() -> str:
        return read_bands(tmp_path).fingerprint

    data_set(tmp_path)
    seen = [fingerprint()]
    (tmp_path / "LiO_1" / "02" / "OUTCAR").write_text("something else")
    (tmp_path / "LiO_1" / "02" / "POSCAR").write_text("not read, there is a CONTCAR")
    assert fingerprint() == seen[0]
    (tmp_path / "NaS").rename(tmp_path / "NaS_2")
    seen.append(fingerprint())
    structure = tmp_path / "LiO_1" / "00" / "POSCAR"
    structure.write_text(structure.read_text() + "\n")
    seen.append(fingerprint())
    (tmp_path / "targets.csv").write_text("name\nLiO_1\nLiO_2\nNaS_2\n")
    seen.append(fingerprint())
    assert len(set(seen)) == len(seen)
