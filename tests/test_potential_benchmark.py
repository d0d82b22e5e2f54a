"""Barriers moved towards those of a potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks import potential
from benchmarks.potential import nudged
from training.files import write_csv
from training.judging.predictions import read_run
from training.report import PREDICTIONS

#: What is true, what the model says (always too low), and the potential, absurd about one.
TARGET = np.linspace(0.2, 1.9, 18)
SAID = TARGET - 0.1
POTENTIAL = np.where(np.arange(18) == 17, 50.0, TARGET + 0.1)


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


def test_what_is_judged_chooses_nothing(tmp_path: Path) -> None:
    table = read_run(run_folder(tmp_path)).of("test")
    assert nudged(table, POTENTIAL).prediction == pytest.approx(TARGET, abs=1e-6)
    # Of a record whose own potential is wrong by much, the others' step is taken all the same.
    wrong = POTENTIAL.copy()
    wrong[3] = SAID[3] - 0.2
    assert nudged(table, wrong).prediction[3] == pytest.approx(SAID[3] - 0.1)


def test_command(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    values: list[object] = [*POTENTIAL]
    values[0] = None
    others, out = tmp_path / "others.csv", tmp_path / "out.csv"
    write_csv(others, potential.COLUMNS, [("r1", 0.5, 0.1), ("new", 0.5, None)])
    words = ["--table", table_of(tmp_path, values), "--column", "m_eV"]
    shown = run(folder, *words, "--predictions", others, "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "17 of 18 records have a barrier in m_eV" in shown.output
    assert "of all records: weight 0.5, limit 0.2 eV" in shown.output
    # 0.4 eV, the potential's barrier of r1, is 0.1 below what is to be moved.
    assert out.read_text().split() == ["sys_name,prediction_eV,std_eV", "r1,0.45,0.1", "new,0.5,"]


def test_bad_tables(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    table = table_of(tmp_path, ["much"])
    shown = run(folder, "--table", table, "--column", "m_eV")
    assert shown.exit_code == 1
    assert "'r0' (line 2), field m_eV: expected a number, got 'much'" in shown.output
    shown = run(folder, "--table", table, "--column", "other")
    assert "field other: there is no such column" in shown.output
