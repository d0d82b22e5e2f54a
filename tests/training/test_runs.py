"""How a run starts, and what it does when its graphs get lost."""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

import training.runs
from linegraph import InputError
from tests.bands import TINY
from tests.errors import message_of
from tests.tuning import QUIET
from training.console import show_skipped
from training.fit import Machine
from training.graphs import GraphSet, load_graphs
from training.recipe import Recipe
from training.runs import (
    Source,
    check_same_run,
    claim_folder,
    read_skipped,
    write_config,
    write_skipped,
)
from training.train import train

RECIPE = Recipe(summary="").changed({**TINY, "epochs": 1, "val": 0})


def test_what_was_left_out_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = [
        InputError("missing", file=Path("a.json"), record="'x, 1' (number 3)", field="target"),
        InputError('expected "atoms"', file=Path("b.json"), record=4),
        InputError("is no structure file"),
    ]
    write_skipped(tmp_path, skipped)
    with (tmp_path / "skipped.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["file", "record", "field", "problem"]
    assert [row["file"] for row in rows] == ["a.json", "b.json", ""]
    messages = [str(error) for error in skipped]
    assert [str(error) for error in read_skipped(tmp_path)] == messages
    show_skipped(tmp_path)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"left out     {message}" for message in messages]
    assert shown.out == f"left out     3 records, listed in {tmp_path / 'skipped.csv'}\n"


def test_nothing_left_out_is_not_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_skipped(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    assert read_skipped(tmp_path) == []
    show_skipped(tmp_path)
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore:.*will create .* worker processes")
@pytest.mark.parametrize("workers", [0, 1])
def test_graphs_that_get_lost(
    workers: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check of the cache, at the start of a run, and the first batch."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("LINEGRAPH_CACHE", str(cache))
    files: list[Path] = []

    def emptied(*args: Any, **options: Any) -> GraphSet:
        found = load_graphs(*args, **options)
        files.extend(cache.iterdir())
        for file in files:
            file.unlink()
        return found

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training.runs, "load_graphs", emptied)
        machine = Machine("cpu", workers, progress=False)
        message = message_of(lambda: train(run, RECIPE, data=data, machine=machine))
    (file,) = files
    assert message.startswith(f"{file}: ")
    assert "deleted" in message and "start again" in message and "--resume" in message
    train(run, RECIPE, data=data, machine=QUIET, resume=True)
    assert (run / "model.safetensors").is_file()


SETTINGS = {"lr": 0.1, "names": ["a", "b"]}
SOURCE = Source(Path("bands.json"), "print", ["a", "b"], [InputError("no atoms", record=3)])
MORE = {"protocol": {"folds": 5, "repeats": 1}, "init": None}


def test_what_was_done_with_what(tmp_path: Path) -> None:
    write_config(tmp_path, SETTINGS, SOURCE, {"method": "x", **MORE}, ["scikit-learn", "nothing"])
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    versions = config.pop("versions")
    assert versions["scikit-learn"] == version("scikit-learn")
    assert versions["nothing"] is None
    assert versions["torch"] == version("torch")
    assert config == {
        "method": "x",
        **MORE,
        "settings": SETTINGS,
        "data": {
            "path": "bands.json",
            "fingerprint": "print",
            "records": 2,
            "skipped": ["record 3: no atoms"],
        },
    }
    check_same_run(tmp_path, SETTINGS, SOURCE, MORE)


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    write_config(tmp_path, SETTINGS, SOURCE, MORE)
    other = {**MORE, "protocol": {"folds": 3, "repeats": 1}, "init": "weights"}
    message = message_of(lambda: check_same_run(tmp_path, {**SETTINGS, "lr": 0.2}, SOURCE, other))
    assert message == (
        f"{tmp_path / 'config.yaml'}: cannot resume with other settings: lr was 0.1, now 0.2; "
        "protocol.folds was 5, now 3; init was None, now 'weights'"
    )
    changed = replace(SOURCE, fingerprint="other")
    message = message_of(lambda: check_same_run(tmp_path, SETTINGS, changed, MORE))
    assert message.endswith("other settings: the data file has changed")
    message = message_of(lambda: check_same_run(tmp_path / "none", SETTINGS, SOURCE, MORE))
    assert "there is no run to resume" in message
    # A run of an earlier version knew of no protocol.
    write_config(tmp_path, SETTINGS, SOURCE, {"folds": 5})
    message = message_of(lambda: check_same_run(tmp_path, SETTINGS, SOURCE, MORE))
    assert "protocol was None, now {'folds': 5, 'repeats': 1}" in message


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_begins_where_nothing_is(resume: bool, tmp_path: Path) -> None:
    """Also if it is to be gone on with: it may have been killed before it left anything."""
    run, partial = tmp_path / "run", f".partial-{'0' * 8}-1-{'0' * 32}.yaml"
    claim_folder(run, SETTINGS, SOURCE, MORE, resume=resume)
    assert list(run.iterdir()) == []
    (run / partial).write_text("half")
    claim_folder(run, SETTINGS, SOURCE, MORE, resume=resume)
    assert list(run.iterdir()) == []
    (run / "notes.txt").touch()
    (run / partial).write_text("half")
    message = message_of(lambda: claim_folder(run, SETTINGS, SOURCE, MORE, resume=resume))
    assert ("no run to resume" if resume else "already exists") in message
    assert (run / partial).exists(), "of a folder that is not ours nothing is removed"


def test_a_run_goes_on_without_what_was_half_written(tmp_path: Path) -> None:
    write_config(tmp_path, SETTINGS, SOURCE, MORE)
    partial = tmp_path / "fold-1" / f".partial-{'0' * 8}-1-{'0' * 32}.json"
    partial.parent.mkdir()
    partial.write_text("half")
    message = message_of(lambda: claim_folder(tmp_path, {}, SOURCE, {"init": 1}, resume=True))
    assert "cannot resume" in message and partial.exists()
    claim_folder(tmp_path, SETTINGS, SOURCE, MORE, resume=True)
    assert not partial.exists() and (tmp_path / "config.yaml").exists()
