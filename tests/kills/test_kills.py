"""SIGKILL at any moment: the same command with --resume ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.callbacks import read_history

from .commands import commands, train_words
from .folders import contents, stage, unfinished
from .harness import Kill, Server
from .trials import table, try_command

#: How many kills there are at least.
KILLS = 50


@pytest.mark.slow
def test_kills_leave_no_trace(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    outcomes = [
        try_command(server, command, tmp_path / f"command-{number}", seed=1)
        for number, command in enumerate(commands(tmp_path / "data"))
    ]
    with capsys.disabled():
        print(f"\n{table(outcomes)}")
    assert [words for outcome in outcomes for words in outcome.wrong] == []
    assert sum(outcome.count for outcome in outcomes) >= KILLS
    assert min(outcome.count for outcome in outcomes) >= 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def whole(server: Server, data: Path) -> Path:
    """A training that nobody disturbed."""
    run = data / "whole"
    ended = server.run([*train_words(data, 2), "--out", run], run, data / "beside")
    assert ended.code == 0, ended.said
    return run


@pytest.mark.parametrize("number", [1, 4, 6])
def test_killed_at_a_file(
    number: int, server: Server, data: Path, whole: Path, tmp_path: Path
) -> None:
    """While graphs are kept, while the run is begun, and in training."""
    words, run, beside = train_words(data, 2), tmp_path / "run", tmp_path / "beside"
    assert server.run([*words, "--out", run], run, beside, Kill("before", number)).killed
    contents(run)
    assert unfinished(tmp_path) != []
    ended = server.run([*words, "--out", run, "--resume"], run, beside)
    assert ended.code == 0, ended.said
    assert contents(run) == contents(whole)
    assert unfinished(tmp_path) == []
    begun = f"there is no run in {run} yet: it begins"
    assert (begun in ended.said) == (number <= 4)


@pytest.mark.slow
def test_killed_between_epochs_with_helpers(
    server: Server, data: Path, whole: Path, tmp_path: Path
) -> None:
    """Which are handed batches before they could be told how far the run has come."""
    words, run, beside = train_words(data, 2, workers=2), tmp_path / "run", tmp_path / "beside"
    after_an_epoch = Kill("after", 4)
    assert server.run([*words, "--out", run], run, beside, after_an_epoch).killed
    assert stage(run) == "underway"
    assert len(read_history(run / "history.csv")) == 1
    ended = server.run([*words, "--out", run, "--resume"], run, beside)
    assert ended.code == 0, ended.said
    assert contents(run) == contents(whole)
