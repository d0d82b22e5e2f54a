"""The command ``predict``, from structure files to tables for people and machines."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pymatgen.core import Lattice, Molecule, Structure

import linegraph as library
from linegraph import InputError
from linegraph.ensemble_file import load_ensemble, save_ensemble
from linegraph.prediction import predict, predict_bands
from tests.bands import rock_salt_band, some_bands
from tests.ensembles import ensemble_of
from tests.integration.command import assert_says, linegraph, refused
from tests.integration.test_cli import table, write_structure
from tests.linegraph.test_hops import structure
from training.bands import Band
from training.predict_command import predict as command
from training.predict_files import CrystalFile, predict_files
from training.predict_written import COLUMNS
from training.records import write_bands


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of crystals, of a band, of bands, and of what cannot be used."""
    folder = tmp_path_factory.mktemp("files")
    structure("LiFePO4").to(filename=str(folder / "LiFePO4.cif"), symprec=1e-3)
    structure("LiCoO2").to(filename=str(folder / "POSCAR"), fmt="poscar")
    write_structure(folder / "band.cif", some_bands()[0])
    write_bands(folder / "bands.json", some_bands()[:3])
    for name, cations in {
        "none": ["Cu"],
        "two": ["Li", "Na"],
        "disordered": [{"Li": 0.5, "Ni": 0.5}],
    }.items():
        sites = [[0, 0, 0], [0.5, 0.5, 0]][: len(cations)]
        made = Structure(Lattice.cubic(4.2), [*cations, "O"], [*sites, [0.5] * 3])
        made.to(filename=str(folder / f"{name}.cif"))
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0]])
    water.to(filename=str(folder / "water.xyz"))
    return folder


def cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in line.split("│")[1:-1]]


def rows_of(shown: str) -> list[list[str]]:
    return [cells(line) for line in shown.splitlines() if line.startswith("│")]


def test_crystal_to_barriers_and_percolation(files: Path, weights: Path) -> None:
    path = files / "LiFePO4.cif"
    shown = linegraph("predict", path, "--weights", weights).stdout
    found = predict(path, weights=weights)
    assert shown.splitlines()[0] == f"{path}: crystal of LiFePO4, hops of Li"
    assert "90 % interval" in shown
    assert "P(< 0.65 eV)" in shown
    for row, hop in zip(rows_of(shown), found.hops, strict=True):
        barrier = hop.barrier
        assert barrier.below is not None
        assert row[:5] == [
            hop.hop.label,
            f"{hop.hop.length:.3f}",
            f"{barrier.value:.3f}",
            f"{barrier.low:.2f} to {barrier.high:.2f}",
            f"{100 * barrier.below:.0f} %",
        ]
    for line in found.in_words():
        assert f"\n{line}\n" in shown
    assert "1D from" in shown
    assert "if all hops are at their low or high ends" in shown


def test_what_the_models_have_not_seen_the_like_of(tmp_path: Path) -> None:
    """A crystal, and one of two bands: the training records are the other, a little displaced."""
    rock_salt = [
        Band(f"salt_{i}", rock_salt_band(jitter=i), 0.3 + 0.01 * i, "salt") for i in range(12)
    ]
    save_ensemble(tmp_path / "w.safetensors", ensemble_of(rock_salt[:11]))
    weights = load_ensemble(tmp_path / "w.safetensors")
    metal, bands = tmp_path / "metal.cif", tmp_path / "bands.json"
    Structure(Lattice.cubic(3.2), ["Rb", "Pb"], [[0] * 3, [0.5] * 3]).to(filename=str(metal))
    known, strange = rock_salt[11], some_bands()[2]
    write_bands(bands, [known, strange])
    (hop,) = predict(metal, weights=weights, max_length=3.5).hops
    of = [hop.barrier, *predict_bands([known.cell, strange.cell], weights=weights)]
    assert [barrier.outside for barrier in of] == [True, False, True]
    words = ["predict", metal, bands, "--weights", tmp_path / "w.safetensors"]
    shown = linegraph(*words, "--max-length", 3.5).stdout
    assert [row[-1] for row in rows_of(shown)] == ["*", "", "*"]
    for name, barrier in ((hop.hop.label, of[0]), (strange.name, of[2])):
        assert (
            f"\n* {name} is unlike the training records, {barrier.distance:.2f} times as far as "
            f"95 % of held-out ones; nearest: {', '.join(barrier.nearest)}\n"
        ) in shown
    assert shown.count("unlike") == 2


def test_a_path_through_an_atom_is_marked(tmp_path: Path, weights: Path) -> None:
    structure("NaCl").to(filename=str(tmp_path / "salt.cif"))
    words = ["predict", tmp_path / "salt.cif", "--weights", weights]
    shown = linegraph(*words, "--max-length", 6).stdout
    assert [row[-1].endswith("!") for row in rows_of(shown)] == [False, True]
    assert "\n! passes an atom nearer than 1 Å" in shown
    assert ": Na1-Na1-2 (0.00 Å)\n" in shown


def test_bands_of_all_kinds_in_one_table(files: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_structure(tmp_path / "folder" / "c.cif", some_bands()[2])
    given = [files / "band.cif", files / "bands.json", tmp_path / "folder"]
    shown = linegraph("predict", *given, "--weights", weights).stdout
    bands = [some_bands()[i] for i in (0, 0, 1, 2, 2)]
    expected = predict_bands([band.cell for band in bands], weights=weights)
    names = [str(given[0]), *(band.name for band in bands[1:4]), "c"]
    for row, name, barrier in zip(rows_of(shown), names, expected, strict=True):
        assert row[0] == name
        assert float(row[3]) == pytest.approx(barrier.value, abs=6e-4)
    assert f"\nread as bands, atoms 0 to 4 being the images: {given[0]}\n" in shown
    assert "crystal of" not in shown


def test_tables_for_machines(files: Path, weights: Path, tmp_path: Path) -> None:
    given = [files / "LiFePO4.cif", files / "band.cif", files / "two.cif", files / "bands.json"]
    out = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}
    shown = linegraph(
        "predict", *given, "--weights", weights, "--level", 0.8, "--threshold", 0.5,
        "--json", out["json"], "--csv", out["csv"], code=2,
    )  # fmt: skip
    assert all(f"written to   {path}\n" in shown.stdout for path in out.values())
    said = json.loads(out["json"].read_text())
    found = predict(given[0], weights=weights, level=0.8, threshold=0.5)
    assert_near(said["crystals"], [{"file": str(given[0]), **found.as_dict()}])
    assert [row["band"] for row in said["bands"]] == [
        str(given[1]), *(band.name for band in some_bands()[:3])
    ]  # fmt: skip
    assert said["failures"] == [
        {
            "file": str(given[2]),
            "error": f"{given[2]}, field ion: may be Li or Na; name the mobile one",
        }
    ]
    assert (said["level"], said["threshold_eV"], said["calibrated"]) == (0.8, 0.5, True)
    assert (said["members"], said["records"]) == (2, 14)

    rows = table(out["csv"])
    with out["csv"].open() as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS
    assert [row["kind"] for row in rows] == ["crystal"] * 2 + ["band"] * 4
    for row, hop in zip(rows, found.hops, strict=False):
        assert (row["compound"], row["hop"], row["ion"]) == ("LiFePO4", hop.hop.label, "Li")
        for column, value in (
            ("length_A", hop.hop.length),
            ("closest_approach_A", hop.approach),
            ("barrier_eV", hop.barrier.value),
            ("low_eV", hop.barrier.low),
            ("high_eV", hop.barrier.high),
            ("probability_below_threshold", hop.barrier.below),
            ("distance", hop.barrier.distance),
        ):
            assert float(row[column]) == pytest.approx(value, rel=1e-5)
        assert row["nearest"] == ";".join(hop.barrier.nearest)
    band = said["bands"][0]
    assert float(rows[2]["high_eV"]) == band["high_eV"] > band["low_eV"]
    assert (rows[2]["level"], rows[2]["threshold_eV"], rows[2]["multiplicity"]) == (
        "0.8",
        "0.5",
        "",
    )


def assert_near(ours: Any, theirs: Any) -> None:
    """The same, but for the last digits of numbers."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_near(ours[key], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_near(one, other)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    else:
        assert ours == theirs


def test_one_model_has_no_intervals(files: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ["predict", files / "LiFePO4.cif", "--weights", run, "--csv", out]
    shown = linegraph(*words).stdout
    assert "% interval" not in shown
    assert shown.count("\nno intervals: ") == 1
    assert [len(row) for row in rows_of(shown)] == [3, 3]
    assert {row[column] for row in table(out) for column in ("low_eV", "level", "outside")} == {""}


def test_bad_files_do_not_stop_the_others(files: Path, weights: Path) -> None:
    bad = {
        "none.cif": ["field ion", "none of the usual ones", "name the mobile one of O, Cu"],
        "two.cif": ["field ion", "may be Li or Na"],
        "disordered.cif": ["field elements", "partially occupied"],
        "water.xyz": ["molecules", "without a cell", "CIF or POSCAR"],
        "missing.cif": ["no such file"],
    }
    given = [files / name for name in bad]
    given.insert(2, files / "LiFePO4.cif")
    given.append(files / "band.cif")
    shown = linegraph("predict", *given, "--weights", weights, code=2)
    lines = shown.stderr.splitlines()
    assert len(lines) == len(bad)
    for line, (name, told) in zip(lines, bad.items(), strict=True):
        assert line.startswith(f"error: {files / name}")
        assert_says(line, *told)
    assert "crystal of LiFePO4" in shown.stdout
    assert len(rows_of(shown.stdout)) == 3
    for name, told in bad.items():
        line = refused("predict", files / name, "--weights", weights)
        assert_says(line, files / name, *told)
    assert "ion" in linegraph("predict", given[1], "--ion", "Na", "--weights", weights).stdout


def test_what_a_file_is_said_to_hold(files: Path, weights: Path, tmp_path: Path) -> None:
    as_band = refused("predict", files / "POSCAR", "--as", "band", "--weights", weights)
    assert_says(as_band, files / "POSCAR", "field elements", "images")
    line = refused("predict", files, "--as", "crystal", "--weights", weights)
    assert_says(line, files, "is a folder")
    # A structure as pymatgen's JSON.
    structure("LiF").to(filename=str(tmp_path / "LiF.json"))
    given = [tmp_path / "LiF.json", "--as", "crystal", "--weights", weights]
    assert "crystal of LiF" in linegraph("predict", *given).stdout


def test_empty_sites_are_found(files: Path, weights: Path, tmp_path: Path) -> None:
    structure("LiCoO2").to(filename=str(tmp_path / "LiCoO2.cif"))
    words = ["predict", tmp_path / "LiCoO2.cif", "--weights", weights, "--max-length", 1.8]
    told = linegraph(*words, "--find-empty-sites", "--json", tmp_path / "out.json").stdout
    assert "(6 in the cell): 3 Li at 1.70 Å, 4 O at 1.82 Å, 1 Co at 1.84 Å" in told
    assert [row[0] for row in rows_of(told)] == ["Li1-empty1-1"]
    (crystal,) = json.loads((tmp_path / "out.json").read_text())["crystals"]
    assert crystal["empty_sites_found"][0]["multiplicity"] == 6
    assert crystal["hops"][0]["final_empty"]


def test_options_reach_the_hops(files: Path, weights: Path) -> None:
    words = ["predict", files / "LiFePO4.cif", "--weights", weights]
    assert len(rows_of(linegraph(*words, "--max-length", 4).stdout)) == 1
    near = linegraph(*words, "--max-length", 3.5, "--empty-site", 0.5, 0, 0).stdout
    assert any("empty1" in row[0] for row in rows_of(near))
    assert_says(refused(*words, "--max-length", 1), files / "LiFePO4.cif", "3.005")
    narrow, bent = (
        float(rows_of(linegraph(*words, "--max-length", 4, *more).stdout)[0][2])
        for more in (["--min-width", 5], ["--idpp"])
    )
    found = predict(files / "LiFePO4.cif", weights=weights, max_length=4, min_width=5)
    assert narrow == pytest.approx(found.hops[0].barrier.value, abs=6e-4)
    found = predict(files / "LiFePO4.cif", weights=weights, max_length=4, idpp=True)
    assert bent == pytest.approx(found.hops[0].barrier.value, abs=6e-4)


@pytest.mark.parametrize(
    "words",
    [["--level", 1], ["--level", 0], ["--threshold", 0], ["--as", "path"]],
)
def test_usage(words: list[Any], files: Path, weights: Path) -> None:
    shown = linegraph("predict", files / "LiFePO4.cif", "--weights", weights, *words, code=2)
    assert "Usage:" in shown.stderr
    assert str(words[0]) in shown.stderr


def test_nothing_is_predicted_where_nothing_can_be_written(
    files: Path, weights: Path, tmp_path: Path
) -> None:
    for option in ("--json", "--csv"):
        out = tmp_path / "none" / "out"
        line = refused("predict", files / "LiFePO4.cif", "--weights", weights, option, out)
        assert_says(line, out, "no such folder")
        line = refused("predict", files / "LiFePO4.cif", "--weights", weights, option, tmp_path)
        assert_says(line, tmp_path, "is a folder")
        pipe = tmp_path / f"pipe{option}"
        os.mkfifo(pipe)
        line = refused("predict", files / "LiFePO4.cif", "--weights", weights, option, pipe)
        assert_says(line, pipe, "is a pipe or a device")


def test_a_bad_record_is_named(tmp_path: Path, weights: Path) -> None:
    bands = some_bands()[:3]
    far = bands[1].structures[0]
    # Alone in the world: there is no bond to make a graph of within any reasonable distance.
    empty = library.Cell(1e6 * np.eye(3), far.frac[:6], far.numbers[:6])
    bad = Band("lonely", empty)
    write_bands(tmp_path / "bands.json", [bands[0], bad])
    line = refused("predict", tmp_path / "bands.json", "--weights", weights)
    assert_says(line, tmp_path / "bands.json", "record 'lonely'")


def test_an_interruption_loses_nothing(
    files: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **settings: Any) -> Any:
        yield next(iter(predict_files(*args, **settings)))
        raise KeyboardInterrupt

    monkeypatch.setattr("training.predict_files.predict_files", interrupted)
    words = [
        str(files / "LiFePO4.cif"),
        "--weights",
        str(weights),
        "--csv",
        str(tmp_path / "o.csv"),
    ]
    result = CliRunner().invoke(command, words)
    assert result.exit_code != 0
    assert {row["compound"] for row in table(tmp_path / "o.csv")} == {"LiFePO4"}


def test_files_from_python(files: Path, weights: Path) -> None:
    crystal, bad = predict_files([files / "LiFePO4.cif", files / "none.cif"], weights)
    assert isinstance(crystal, CrystalFile)
    assert crystal.prediction.formula == "LiFePO4"
    assert isinstance(bad, InputError)
    assert bad.file == files / "none.cif"


def test_help_is_quick_and_tells_the_default() -> None:
    text = linegraph("predict", "--help").stdout
    assert "[default: the weights shipped]" in text
    assert command.name == "predict"
