"""``python -m training.starter``: files that hold the compounds they are named by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pymatgen.core import Structure

from linegraph.hops import hops
from training.starter import COMPOUNDS
from training.starter.__main__ import main
from training.starter.build import conventional_cell
from training.starter.crystals import write_crystals
from training.starter.records import Compound, load_compounds
from training.structures import read_given

ROOT = Path(__file__).resolve().parents[2]
ALL = load_compounds(COMPOUNDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starter") / "new" / "crystals"
    result = CliRunner().invoke(main, [str(folder)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{len(ALL)} crystals written to {folder}\n"
    return folder


def test_a_file_for_each_compound(folder: Path) -> None:
    names = sorted(file.name for file in folder.iterdir())
    assert names == sorted(f"{compound.name.replace(' ', '_')}.cif" for compound in ALL)
    assert {"LiTi2(PO4)3.cif", "TiO2_anatase.cif", "TiO2_rutile.cif"} <= set(names)


@pytest.mark.parametrize("compound", ALL, ids=lambda compound: compound.name)
def test_file_holds_the_compound(compound: Compound, folder: Path) -> None:
    file = folder / f"{compound.name.replace(' ', '_')}.cif"
    assert compound.source.reference in file.read_text(encoding="utf-8")
    made = conventional_cell(compound)
    read = read_given(file)
    assert not isinstance(read, list)
    one = Structure(made.lattice, made.elements, made.frac)
    other = Structure(read.lattice, read.numbers.tolist(), read.frac)
    assert one.lattice.abc == pytest.approx(other.lattice.abc)
    # The same atoms, whatever their order.
    ends = other.lattice.get_all_distances(one.frac_coords, other.frac_coords).min(axis=1)
    assert ends.max() < 1e-3
    assert one.composition == other.composition


def test_hop_of_the_olivine_is_found(folder: Path) -> None:
    shortest = hops(folder / "LiFePO4.cif")[0]
    assert shortest.length == pytest.approx(6.010 / 2)


def test_again_and_where_it_cannot(folder: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    write_crystals(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, [str(tmp_path / "file" / "crystals")])
    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*crystals: cannot be created \(.*\)\n", result.stderr)


def test_readme_has_the_command() -> None:
    text = (ROOT / "training/starter/README.md").read_text(encoding="utf-8")
    assert "python -m training.starter crystals" in text
