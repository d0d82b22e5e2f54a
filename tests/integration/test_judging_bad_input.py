"""What `baseline`, `neb` and `report` cannot use: one line, nothing written, nothing lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bands import data_file
from tests.integration.command import assert_says, linegraph, refused
from tests.judged_runs import written
from tests.training.neb_calculators import wave_band
from training.records import write_bands

CALCULATOR = "tests.training.neb_calculators:WaveCalculator"
NEB = ("neb", "--calculator", CALCULATOR, "--no-relax", "--steps", 0)
GUESS = ("baseline", "train-mean", "--workers", 1)


def misused(*words: object) -> str:
    """The last line of what click says about options that contradict each other."""
    shown = linegraph(*words, code=2)
    assert shown.stdout == ""
    assert shown.stderr.startswith("Usage: ")
    last = shown.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders without --out would be made here; plots are not what is tested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.report.parity_plot", lambda *args, **named: None)


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """A record for :data:`CALCULATOR`."""
    write_bands(tmp_path / "waves.json", [wave_band("one")])
    return tmp_path / "waves.json"


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Tables of predictions, of which only the first two can be used."""
    contents: dict[str, list[str]] = {
        "good": ["sys_name,target_eV,m_eV", "a,0.1,0.2", "b,0.3,0.1"],
        "same": ["sys_name,target_eV,m_eV", "a,0.1,0.4", "b,0.3,0.2"],
        "other": ["sys_name,target_eV,m_eV", "a,0.1,0.2", "b,0.9,0.1"],
        "text": ["sys_name,target_eV,m_eV", "a,0.1,0.2", "b,0.3,low"],
        "nan": ["sys_name,target_eV,m_eV", "a,nan,0.2"],
        "short": ["sys_name,target_eV,m_eV", "a,0.1"],
        "blind": ["sys_name,m_eV", "a,0.1"],
        "columns": ["sys_name,target_eV", "a,0.1"],
        "nameless": ["name,m_eV", "a,0.1"],
        "empty": ["sys_name,m_eV"],
    }
    return {name: written(tmp_path / f"{name}.csv", *text) for name, text in contents.items()}


# ---- baseline ----


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["svm"], ["unknown baseline 'svm'", "known are rfr, gbr, path-trees"]),
        (["path-trees", "--selection", "published"], ["selection", "selects no features"]),
        (["train-mean", "--leave-out", "class"], ["'MgOx2_4'", "field class", "none given"]),
        (["train-mean", "--folds", 99], ["99 folds", "only 6 systems"]),
        (["train-mean", "--train-fraction", "nan"], ["train_fraction", "nan is no fraction"]),
        (["train-mean", "--predict", "gone.json"], ["gone.json", "no such file"]),
    ],
)
def test_baselines_that_cannot_be_run(
    words: list[object], told: list[str], data: Path, tmp_path: Path
) -> None:
    assert_says(refused("baseline", *words, "--data", data, "--out", "out"), *told)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_are_none(seed: int, data: Path, tmp_path: Path) -> None:
    assert_says(refused(*GUESS, "--data", data, "--out", "out", "--seed", seed), "seed")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("command", ["baseline", "train"])
def test_protocols_that_are_none(command: str, data: Path, tmp_path: Path) -> None:
    first = [command, "train-mean"] if command == "baseline" else [command]
    words = [*first, "--data", data, "--out", "out"]
    for more, told in (
        (["--folds", 3, "--leave-out", "ion"], ["--folds and --leave-out"]),
        (["--train-fraction", 0], ["--train-fraction", "0<x<=1"]),
        (["--train-fraction", 1.5], ["--train-fraction", "0<x<=1"]),
        (["--repeats", 0], ["--repeats", "x>=1"]),
        (["--folds", 1], ["--folds", "x>=2"]),
        (["--leave-out", "compound"], ["--leave-out", "'class', 'ion'"]),
    ):
        assert_says(misused(*words, *more), *told)
    assert not os.listdir(tmp_path)


def test_training_without_classes(data: Path, tmp_path: Path) -> None:
    line = refused("train", "--data", data, "--out", "out", "--leave-out", "class")
    assert_says(line, data, "'MgOx2_4'", "field class", "none given")
    assert not os.listdir(tmp_path)


def test_one_ion_cannot_be_left_out(waves: Path, tmp_path: Path) -> None:
    line = refused(*GUESS, "--data", waves, "--out", "out", "--leave-out", "ion")
    assert_says(line, waves, "all records are 'Li'", "none is left to learn from")
    assert not (tmp_path / "out").exists()


def test_a_baseline_that_is_there_is_kept(data: Path, waves: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*GUESS, "--out", run]
    linegraph(*words, "--data", data)
    before = files(run)
    assert_says(refused(*words, "--data", data), run, "already exists")
    for more, told in (
        (["--seed", 5], "seed was 123, now 5"),
        (["--folds", 2], "protocol.folds was 0, now 2"),
        (["--predict", data], "predict was None"),
        (["--data", data_file(tmp_path / "fewer.json", 10)], "the data file has changed"),
    ):
        line = refused(*words, "--data", data, "--resume", *more)
        assert_says(line, run / "config.yaml", "cannot resume with other settings", told)
    line = refused("baseline", "class-mean", "--data", data, "--out", run, "--resume")
    assert_says(line, "baseline was 'train-mean', now 'class-mean'")
    line = refused("neb", "--out", run, "--resume", "--calculator", CALCULATOR, "--data", waves)
    assert_says(line, run / "config.yaml", "cannot resume with other settings")
    assert files(run) == before


# ---- neb ----


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--calculator", "chgnot"], ["unknown calculator 'chgnot'", "chgnet, mace"]),
        (["--calculator", "no.such:Thing"], ["no.such:Thing cannot be imported"]),
        (["--calculator", f"{CALCULATOR}s"], ["WaveCalculators", "cannot be imported"]),
        (["--calculator", "mace"], ["mace needs --weights FILE", "only one you trust"]),
        (["--calculator", "mace", "--weights", "gone"], ["gone", "No such file"]),
        (["--calculator", "mace", "--weights", "."], ["Is a directory"]),
        (["--calculator", "chgnet", "--weights", "gone"], ["gone", "No such file"]),
        (["--weights", "waves.json"], ["field weights", "by an option, not by --weights"]),
        (["--calculator-option", "height"], ["--calculator-option takes key=value", "'height'"]),
        (["--calculator-option", "colour=1"], ["cannot be made with options", "'colour'"]),
        (["--record", "two"], ["waves.json, record 'two'", "no such record"]),
        (["--record", "one", "--record", "two"], ["record 'two'"]),
        (["--max-atoms", 4], ["waves.json", "no record has at most 4 atoms"]),
        (["--fmax", "nan"], ["field fmax", "more than 0"]),
        (["--device", "tpu"], ["unknown device 'tpu'"]),
        (["--data", "gone.json"], ["gone.json", "no such file"]),
        (["--resume", "--out", "."], ["config.yaml", "no run to resume"]),
    ],
)
def test_bands_that_cannot_be_relaxed(
    words: list[object], told: list[str], waves: Path, tmp_path: Path
) -> None:
    assert_says(refused(*NEB, "--data", waves, "--out", "out", *words), *told)
    assert os.listdir(tmp_path) == [waves.name]


@pytest.mark.parametrize("calculator", [".module:Class", "broken_calculator:Class"])
def test_calculators_that_cannot_be_imported(
    calculator: str, waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "broken_calculator.py", "raise ValueError('no licence found')")
    monkeypatch.syspath_prepend(tmp_path)
    line = refused("neb", "--calculator", calculator, "--data", waves, "--out", "out")
    assert_says(line, "field calculator", calculator, "cannot be imported")
    assert not (tmp_path / "out").exists()


def test_ranges_of_a_band_method(waves: Path, tmp_path: Path) -> None:
    for option, value in (("--images", 2), ("--steps", -1), ("--workers", 0), ("--max-atoms", 0)):
        assert_says(misused(*NEB, "--data", waves, "--out", "out", option, value), option)
    assert os.listdir(tmp_path) == [waves.name]


def test_barriers_that_are_there_are_kept(waves: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*NEB, "--out", run]
    linegraph(*words, "--data", waves)
    before = files(run)
    assert "records/one.json" in before
    assert_says(refused(*words, "--data", waves), run, "already exists")
    for more, told in (
        (["--data", waves, "--relax"], "relax was False, now True"),
        (["--data", waves, "--calculator-option", "height=1"], "now {'height': 1}"),
        (["--data", data], "the data file has changed"),
    ):
        assert_says(refused(*words, "--resume", *more), run / "config.yaml", told)
    line = refused(*GUESS, "--data", data, "--out", run, "--resume")
    assert_says(line, run / "config.yaml", "cannot resume with other settings")
    assert files(run) == before


def test_resume_needs_a_folder(tmp_path: Path) -> None:
    for words in (GUESS, NEB):
        assert_says(misused(*words, "--resume"), "--resume needs --out, the run to go on with")
    assert not os.listdir(tmp_path)


# ---- report ----


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], ["nothing/predictions.csv", "there are no predictions"]),
        (["gone.csv"], ["gone.csv", "No such file"]),
        (["name=gone.csv"], ["gone.csv", "No such file"]),
        (["text.csv"], ["text.csv, record 'b' (line 3), field m_eV", "number, got 'low'"]),
        (["nan.csv"], ["nan.csv, record 'a' (line 2), field target_eV", "NaN"]),
        (["short.csv"], ["short.csv, record line 2", "2 cells", "3 columns"]),
        (["columns.csv"], ["columns.csv", "no column *_eV with predictions"]),
        (["nameless.csv"], ["nameless.csv, field sys_name", "no such column"]),
        (["empty.csv"], ["empty.csv", "no rows"]),
        (["blind.csv"], ["blind.csv", "no prediction has a known barrier"]),
        (["good.csv", "same.csv"], ["same.csv", "two models are called 'm'", "good.csv"]),
        (["x=good.csv", "--untrained", "x=same.csv"], ["same.csv", "two models are called 'x'"]),
        (
            ["x=good.csv", "y=other.csv"],
            ["other.csv, record 'b', field target_eV", "y has 0.9 eV, x has 0.3 eV"],
        ),
        (["x=good.csv", "--reference", "y"], ["field reference", "'y'", "there are x"]),
        (["good.csv", "--data", "gone.json"], ["gone.json", "no such file"]),
        (["good.csv", "--threshold", 0], ["field threshold", "no barrier above 0 eV"]),
        (["good.csv", "--threshold", "nan"], ["field threshold", "no barrier above 0 eV"]),
    ],
)
def test_reports_that_cannot_be_made(
    words: list[object], told: list[str], tables: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    before = files(tmp_path)
    assert_says(refused("report", *words, "--out", "out"), *told)
    assert files(tmp_path) == before and not (tmp_path / "out").exists()


def test_a_report_on_nothing(tables: dict[str, Path], tmp_path: Path) -> None:
    assert_says(misused("report", "--out", "out"), "nothing to judge")
    assert_says(misused("report", "good.csv", "--resamples", 1), "--resamples", "x>=2")
    assert not (tmp_path / "out").exists() and not (tmp_path / "runs").exists()


def test_a_folder_that_holds_something_is_kept(tables: dict[str, Path], tmp_path: Path) -> None:
    written(tmp_path / "out", "a file")
    assert_says(refused("report", "good.csv", "--out", "out"), "out", "File exists")
    before = files(tmp_path)
    (tmp_path / "full").mkdir()
    written(tmp_path / "full" / "notes.txt", "mine")
    assert_says(refused("report", "good.csv", "--out", "full"), "full", "already exists")
    assert files(tmp_path) == {**before, "full/notes.txt": b"mine\n"}


def test_runs_of_other_data_do_not_go_together(data: Path, tmp_path: Path) -> None:
    """Two runs whose targets differ for a record."""
    changed = tmp_path / "changed.json"
    text = data.read_text()
    assert text.count('"target":') == 12
    changed.write_text(text.replace('"target": 0.2,', '"target": 0.7,', 1))
    assert changed.read_text() != text
    for name, file in (("one", data), ("two", changed)):
        linegraph(*GUESS, "--folds", 3, "--data", file, "--out", name)
    line = refused("report", "one", "two", "--out", "out")
    assert_says(line, "two", "record 'LiOx0_0', field target_eV", "0.7 eV, one has 0.2 eV")
    line = refused("report", "one", "--data", changed, "--out", "out")
    assert_says(line, "record 'LiOx0_0'", "one has 0.2 eV, the data has 0.7 eV")
    assert not (tmp_path / "out").exists()
