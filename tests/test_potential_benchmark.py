"""Barriers moved towards those of a potential."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks import potential
from benchmarks.potential import beside
from training.files import write_csv
from training.judging.predictions import read_run
from training.potentials import fit_correction, nested
from training.report import PREDICTIONS

#: What is true, what the model says (always too low), and the potential, absurd about one.
TARGET = np.linspace(0.2, 1.9, 18)
SAID = TARGET - 0.1
POTENTIAL = np.where(np.arange(18) == 17, 9.5, TARGET + 0.1)


def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [
        (f"r{i}", "test", f"s{i}", "", "Li", "1", 0, TARGET[i], SAID[i], None) for i in range(18)
    ]
    write_csv(folder / "predictions.csv", PREDICTIONS, rows)
    return folder


def table_of(tmp_path: Path, values: list[object]) -> Path:
    path = tmp_path / "table.csv"
    write_csv(path, ("sys_name", "m_eV"), [(f"r{i}", value) for i, value in enumerate(values)])
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(potential.main, [str(word) for word in words])


def test_what_is_judged_teaches_nothing(tmp_path: Path) -> None:
    table = read_run(run_folder(tmp_path)).of("test")
    found = beside(table, POTENTIAL)
    assert found.name == "run, with potential"
    assert found.prediction == pytest.approx(
        nested(TARGET, SAID, POTENTIAL, [f"s{i}" for i in range(18)]), abs=1e-6
    )
    assert np.abs(found.prediction - TARGET)[:17].mean() < 0.07
    # What is true of a compound is of no concern to it.
    target = table.target.copy()
    target[3] = 5.0
    other = beside(replace(table, target=target), POTENTIAL)
    assert other.prediction[3] == found.prediction[3]
    assert (other.prediction != found.prediction).any()
    # Seeds are learned from apart: those of twice the same are those of one.
    twice = replace(
        table,
        names=[*table.names, *table.names],
        system=[*table.system, *table.system],
        target=np.tile(table.target, 2),
        prediction=np.tile(table.prediction, 2),
        seed=[*([1] * 18), *([2] * 18)],
    )
    assert beside(twice, np.tile(POTENTIAL, 2)).prediction.tolist() == [*found.prediction] * 2


def test_command(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    values: list[object] = [*POTENTIAL]
    values[0] = None
    others, out = tmp_path / "others.csv", tmp_path / "out.csv"
    write_csv(others, potential.COLUMNS, [("r1", 0.3, 0.1), ("new", 0.5, None)])
    words = ["--table", table_of(tmp_path, values), "--column", "m_eV"]
    shown = run(folder, *words, "--predictions", others, "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "17 of 18 records have a barrier in m_eV" in shown.output
    assert "| run, with potential |" in shown.output
    assert re.search(r"\nwith potential - as it was: -0\.\d{3} eV \(", shown.output)
    given = np.where(np.arange(18) > 0, POTENTIAL, np.nan)
    learned = fit_correction(TARGET, SAID, given)
    # The last lines are of a model and a potential as the row and the column say.
    *_, head, _, row, _, _, last = shown.output.strip().splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "model \\ potential", "0.2", "0.4", "0.6", "1", "2", "5",
    ]  # fmt: skip
    for line, said in ((row, 0.3), (last, 1.5)):
        first, *numbers = (float(cell) for cell in line.strip("|").split("|"))
        assert first == said
        expected = learned(np.full(6, said), [0.2, 0.4, 0.6, 1.0, 2.0, 5.0])
        assert numbers == pytest.approx(expected.tolist(), abs=0.0051)
    # 0.4 eV is the potential's barrier of r1.
    moved = round(learned([0.3], [POTENTIAL[1]])[0], 6)
    assert 0.31 < moved < 0.4
    lines = out.read_text().split()
    assert lines == ["sys_name,prediction_eV,std_eV", f"r1,{moved},0.1", "new,0.5,"]


def test_bad_tables(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    table = table_of(tmp_path, ["much"])
    shown = run(folder, "--table", table, "--column", "m_eV")
    assert shown.exit_code == 1
    assert "'r0' (line 2), field m_eV: expected a number, got 'much'" in shown.output
    shown = run(folder, "--table", table, "--column", "other")
    assert "field other: there is no such column" in shown.output
