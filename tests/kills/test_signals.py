"""Ctrl+C and SIGTERM, to real processes: they keep what is done, and say how to go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .commands import baseline_words, neb_words, pretrain_words, screen_words, train_words
from .folders import contents, unfinished
from .harness import PATIENCE, Server

Words = Callable[[Path], list[str]]

#: Commands that go on for long enough, and what tells that they are at work.
COMMANDS: dict[str, tuple[Words, str]] = {
    "train": (lambda data: train_words(data, epochs=2000), "history.csv"),
    "folds": (lambda data: [*train_words(data, 2000), "--folds", "3"], "fold-1/history.csv"),
    "pretrain": (lambda data: pretrain_words(data, epochs=2000), "history.csv"),
    "baseline": (baseline_words, "config.yaml"),
    "neb": (lambda data: neb_words(data, pause=0.05), "records/*.json"),
    "screen": (lambda data: screen_words(data, crystals=100), "structures/*.json"),
}

#: What else a command leaves when it is stopped.
TABLES = {"neb": {"barriers.csv", "failures.csv"}, "screen": {"ranking.csv", "failures.csv"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def wait_for(run: Path, pattern: str, group: int) -> None:
    until = time.monotonic() + PATIENCE
    while not list(run.glob(pattern)):
        assert time.monotonic() < until
        os.kill(group, 0)
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, signal.SIGTERM) for name in COMMANDS),
        ("neb", signal.SIGINT),
        ("train", signal.SIGINT),
        *(
            pytest.param(name, signal.SIGINT, marks=pytest.mark.slow)
            for name in ("folds", "pretrain", "baseline", "screen")
        ),
    ],
)
def test_stopped_commands_say_how_to_go_on(
    name: str, number: signal.Signals, server: Server, data: Path, tmp_path: Path
) -> None:
    if name == "baseline":
        pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    words, pattern = COMMANDS[name]
    run = tmp_path / "run"
    group = server.begin([*words(data), "--out", run], tmp_path / "beside")
    wait_for(run, pattern, group)
    os.kill(group, number)
    ended = server.end(group)
    assert ended.code == 128 + number, ended.said
    line = f"interrupted; the same command with --resume --out {run} goes on"
    assert ended.said.splitlines()[-1] == line
    assert "Traceback" not in ended.said
    assert set(contents(run)) >= {"config.yaml", *TABLES.get(name, ())}
    assert unfinished(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["train", "screen"])
def test_a_signal_to_helpers_too(
    name: str, number: signal.Signals, server: Server, data: Path, tmp_path: Path
) -> None:
    """As a terminal and queueing systems send it: to all processes of a job."""
    words = {
        "train": train_words(data, epochs=2000, workers=2),
        "screen": screen_words(data, crystals=100, workers=2),
    }[name]
    run = tmp_path / "run"
    group = server.begin([*words, "--out", run], tmp_path / "beside")
    wait_for(run, COMMANDS[name][1], group)
    os.killpg(group, number)
    ended = server.end(group)
    assert ended.code == 128 + number, ended.said
    line = f"interrupted; the same command with --resume --out {run} goes on"
    assert line in ended.said.splitlines()
    contents(run)
