"""The comparison of cross-validated runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from benchmarks import runs
from training.files import write_csv
from training.report import PREDICTIONS

TARGET = [0.2, 0.4, 0.6, 0.8]


def run_folder(folder: Path, predictions: Sequence[float], split: str = "test") -> Path:
    folder.mkdir()
    rows = [
        (f"r{i}", split, f"s{i // 2}", "", "Li", "1", 0, TARGET[i], value, None)
        for i, value in enumerate(predictions)
    ]
    write_csv(folder / "predictions.csv", PREDICTIONS, rows)
    return folder


def compare(*words: object) -> Result:
    return CliRunner().invoke(runs.main, [str(word) for word in words])


def test_errors_and_paired_difference(tmp_path: Path) -> None:
    first = run_folder(tmp_path / "first", [0.2, 0.4, 0.6, 0.4])
    second = run_folder(tmp_path / "second", [0.3, 0.5, 0.7, 0.9])
    shown = compare(first, second)
    assert shown.exit_code == 0
    assert "4 records of 2 compounds" in shown.output
    rows = {line.split("|")[1].strip(): line for line in shown.output.splitlines() if "|" in line}
    assert "0.100 ± 0.07" in rows["first"]
    assert "0.100 ± 0.000" in rows["second"]
    assert "0.000 ± 0.07" in rows["second - first"]
    without = compare(first, second, "--without", "r3")
    assert "3 records of 2 compounds" in without.output
    assert "| +0.100 ± 0.000" in without.output


def test_several_seeds_of_one_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [0.2, 0.4, 0.6, 0.8])
    other = run_folder(tmp_path / "other", [0.3, 0.5, 0.7, 0.9])
    text = (other / "predictions.csv").read_text().splitlines()
    again = [line.replace(",1,0,", ",1,1,") for line in text[1:]]
    (other / "predictions.csv").write_text("\n".join([*text, *again, ""]))
    shown = compare(run, other)
    assert "4 records of 2 compounds" in shown.output
    assert "| +0.100 ± 0.000" in shown.output


def test_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    whole = run_folder(tmp_path / "whole", TARGET)
    part = run_folder(tmp_path / "part", TARGET[:3])
    seen = run_folder(tmp_path / "seen", TARGET, split="train")
    for words, problem in (
        ([whole, part], "part and whole do not predict the same records"),
        ([seen], "no record with a target is held out"),
        ([tmp_path / "none"], "there are no predictions"),
        ([whole, "--without", "r9"], "no run predicts it"),
    ):
        shown = compare(*words)
        assert shown.exit_code == 1
        assert problem in shown.output
