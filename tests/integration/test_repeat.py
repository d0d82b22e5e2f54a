"""The same command gives the same bytes, run through or interrupted and resumed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import training.graphs
from tests.bands import settings, some_bands
from tests.integration.command import linegraph, start
from training.callbacks import History, read_history
from training.records import write_bands

#: With validation and weights kept by it, so that a resumed run has to remember the best.
EPOCHS = 6
WORDS = settings(epochs=EPOCHS, lr=0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    linegraph("train", "--data", data, "--out", folder, *WORDS)
    return folder


def results(run: Path) -> dict[str, bytes]:
    """All that two equal runs have in common, byte by byte."""
    names = ("model.safetensors", "predictions.csv", "metrics.json")
    files = [file for name in names for file in run.rglob(name)]
    return {str(file.relative_to(run)): file.read_bytes() for file in sorted(files)}


def history(run: Path) -> list[dict[str, Any]]:
    rows = read_history(run / "history.csv")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_same_seed_same_bytes(tmp_path: Path, data: Path, whole: Path) -> None:
    linegraph("train", "--data", data, "--out", tmp_path / "again", *WORDS)
    assert results(tmp_path / "again") == results(whole)
    assert history(tmp_path / "again") == history(whole)
    linegraph("train", "--data", data, "--out", tmp_path / "other", *WORDS, "--seed", 7)
    for name, content in results(tmp_path / "other").items():
        assert content != results(whole)[name]


@pytest.mark.filterwarnings("ignore:.*will create .* worker processes")
@pytest.mark.parametrize(("workers", "names"), [(0, ["built", "read"]), (2, ["built"])])
def test_number_of_workers_changes_nothing(
    workers: int,
    names: list[str],
    tmp_path: Path,
    data: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor that of the files that graphs are kept in, nor whether these are there already."""
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training.graphs, "SHARD", 5)
    for name in names:
        run = tmp_path / name
        linegraph("train", "--data", data, "--out", run, *WORDS, "--workers", workers)
        assert len(list((tmp_path / "cache").iterdir())) == 3
        assert results(run) == results(whole)
        assert history(run) == history(whole)


def test_interrupted_while_graphs_are_built(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no run to go on with then, but the graphs that were built are found."""
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training.graphs, "SHARD", 5)
    build, built = training.graphs.build_graphs, list[int]()

    def noted(records: Any, *args: Any) -> Any:
        built.append(len(records))
        if len(built) == 3:
            raise KeyboardInterrupt
        return build(records, *args)

    monkeypatch.setattr(training.graphs, "build_graphs", noted)
    words = ["train", "--data", data, "--out", tmp_path / "run", *WORDS, "--workers", 1]
    run = tmp_path / "run"
    shown = linegraph(*words, code=130)
    again = f"interrupted; the same command with --resume --out {run} goes on"
    assert shown.stderr.splitlines() == [again]
    assert not run.exists()
    shown = linegraph(*words, "--resume")
    assert f"there is no run in {run} yet: it begins" in shown.stderr.splitlines()
    assert built == [5, 5, 2, 2]
    assert results(tmp_path / "run") == results(whole)


def interrupt_after(rows: int, monkeypatch: pytest.MonkeyPatch, hook: str, count: int = 1) -> None:
    """Press Ctrl+C at a hook of the history's, once so many epochs are in a history."""
    left = [count]

    def press(self: History, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == rows:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(History, hook, press)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_start"])
def test_interrupted_and_resumed(
    hook: str, tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(3, patch, hook)
        shown = linegraph("train", "--data", data, "--out", run, *WORDS, code=130)
    assert "--resume" in shown.stderr
    assert str(run) in shown.stderr
    assert len(history(run)) == 3
    assert not (run / "model.safetensors").exists()
    # Ctrl+C still works, for whoever called the function.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    linegraph("train", "--data", data, "--out", run, *WORDS, "--resume")
    assert results(run) == results(whole)
    assert history(run) == history(whole)
    # A run that is finished is finished.
    linegraph("train", "--data", data, "--out", run, *WORDS, "--resume")
    assert results(run) == results(whole)
    assert history(run) == history(whole)


def test_interrupted_before_the_first_checkpoint(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(0, patch, "on_train_batch_end")
        linegraph("train", "--data", data, "--out", run, *WORDS, code=130)
    linegraph("train", "--data", data, "--out", run, *WORDS, "--resume")
    assert results(run) == results(whole)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_killed_between_history_and_checkpoint(
    keep: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history is one row ahead of the checkpoint then; without validation, too."""
    words = settings(epochs=4, val=0.2 if keep == "best" else 0, keep=keep)
    write = History.on_train_epoch_end

    def die(self: History, trainer: Any, module: Any) -> None:
        write(self, trainer, module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    linegraph("train", "--data", data, "--out", tmp_path / "whole", *words)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", die)
        linegraph("train", "--data", data, "--out", run, *words, code=130)
    assert len(history(run)) == 3
    linegraph("train", "--data", data, "--out", run, *words, "--resume")
    assert results(run) == results(tmp_path / "whole")
    assert history(run) == history(tmp_path / "whole")


def test_interrupted_in_the_second_fold(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*settings(epochs=3), "--folds", 3]
    linegraph("train", "--data", data, "--out", tmp_path / "whole", *words)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        # Three batches an epoch: the first of the second fold's epoch 1 is the fourth.
        interrupt_after(1, patch, "on_train_batch_end", count=4)
        linegraph("train", "--data", data, "--out", run, *words, code=130)
    assert (run / "fold-1" / "metrics.json").is_file()
    assert len(history(run / "fold-2")) == 1
    assert not (run / "fold-3").exists()
    linegraph("train", "--data", data, "--out", run, *words, "--resume")
    assert results(run) == results(tmp_path / "whole")
    for fold in ("fold-1", "fold-2", "fold-3"):
        assert history(run / fold) == history(tmp_path / "whole" / fold)


def begin(run: Path, data: Path, words: list[str], rows: int) -> subprocess.Popen[str]:
    """Start a training and wait until its history has so many rows."""
    process = start("train", "--data", data, "--out", run, *words)
    until = time.monotonic() + 120
    while len(history(run)) < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def test_killed_then_interrupted(tmp_path: Path, data: Path) -> None:
    """As real processes, by real signals."""
    words = settings(epochs=25)
    run = tmp_path / "run"
    process = begin(run, data, words, rows=2)
    process.kill()
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    rows = len(history(run))
    assert 2 <= rows < 15

    process = begin(run, data, [*words, "--resume"], rows=rows + 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"--resume --out {run}" in err
    # Neither a traceback nor a library's farewell.
    assert all(line.startswith(("Training epoch", "interrupted")) for line in err.splitlines()), err
    assert rows + 2 <= len(history(run)) < 25

    linegraph("train", "--data", data, "--out", run, *words, "--resume")
    linegraph("train", "--data", data, "--out", tmp_path / "whole", *words)
    assert results(run) == results(tmp_path / "whole")
    assert history(run) == history(tmp_path / "whole")


def test_terminated(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queueing systems ask before they kill."""
    run = tmp_path / "run"

    def terminate(self: History, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_end", terminate)
        shown = linegraph("train", "--data", data, "--out", run, *WORDS, code=143)
    assert "--resume" in shown.stderr
    linegraph("train", "--data", data, "--out", run, *WORDS, "--resume")
    assert results(run) == results(whole)
    assert history(run) == history(whole)


def test_resume_refuses_other_settings(tmp_path: Path, data: Path, whole: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    before = results(run)
    changes = ["--set", "lr=0.02", "--seed", 5, "--folds", 2, "--resume"]
    shown = linegraph("train", "--data", data, "--out", run, *WORDS, *changes, code=2)
    for words in (str(run), "lr was 0.05, now 0.02", "seed was 123, now 5", "folds was 0, now 2"):
        assert words in shown.stderr
    assert "hidden" not in shown.stderr
    # The settings are those that the weights fit, but the run did not start from any.
    shown = linegraph(
        "train", "--data", data, "--out", run, *WORDS, "--resume", "--init", whole, code=2
    )
    assert "init was None, now" in shown.stderr
    assert "lr" not in shown.stderr.partition("other settings")[2]
    bands = some_bands()
    write_bands(tmp_path / "other.json", bands[::-1])
    words_ = ["train", "--data", tmp_path / "other.json", "--out", run, *WORDS, "--resume"]
    assert "data file has changed" in linegraph(*words_, code=2).stderr
    assert results(run) == before


def test_resume_refuses_what_is_no_run(tmp_path: Path, data: Path, whole: Path) -> None:
    words = ["--data", data, *WORDS, "--resume"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    shown = linegraph("train", *words, "--out", tmp_path / "mine", code=2)
    assert "no run to resume" in shown.stderr
    assert str(tmp_path / "mine") in shown.stderr
    assert "begins" not in shown.stderr
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert "--out" in linegraph("train", *words, code=2).stderr
    run = shutil.copytree(whole, tmp_path / "run")
    data_ = b"\ndata: {fingerprint: x}\nfolds: 0"
    for text in (
        b"", b"settings: [", b"- 1", b"\xff\xfe\x00", b"settings: {}\ndata: 5\nfolds: 0",
        b"settings: {}" + data_, b"settings: ab\ninit: null" + data_,
        b"settings: [1]\ninit: null" + data_, b"settings: null\ninit: null" + data_,
    ):  # fmt: skip
        (run / "config.yaml").write_bytes(text)
        shown = linegraph("train", *words, "--out", run, code=2)
        assert str(run / "config.yaml") in shown.stderr


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "other"])
def test_resume_refuses_a_damaged_checkpoint(
    damage: str, tmp_path: Path, data: Path, whole: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    last = run / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    last.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "garbage": bytes(range(256)) * 40,
            "other": (run / "model.safetensors").read_bytes(),
        }[damage]
    )
    words = ["train", "--data", data, "--out", run, *WORDS, "--resume"]
    shown = linegraph(*words, code=2)
    assert str(last) in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
