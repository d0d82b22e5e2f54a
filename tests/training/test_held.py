"""Folders that one run has to itself, however many begin at once."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import pytest

import linegraph
import training.runs
from tests.bands import TINY
from tests.errors import message_of
from tests.tuning import QUIET
from training.data import load_bands
from training.graphs import GraphSet, load_graphs
from training.held import held
from training.options import free_folder, run_folder
from training.recipe import Recipe
from training.runs import source_of, start_run

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(summary="").changed({**TINY, "epochs": 1, "val": 0})
AT_WORK = "another run is at work in this folder"


def in_a_thread(job: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(job).result()


def try_to_hold(folder: Path) -> None:
    with held(folder):
        pass


def test_of_two_runs_that_begin_at_once_one_has_the_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other is told so while the graphs of the first are built, when there is no file yet."""
    run, bands = tmp_path / "run", load_bands(data)
    building, told = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> GraphSet:
        if not building.is_set():
            building.set()
            assert told.wait(60)
        return load_graphs(*args, **options)

    def begin(resume: bool) -> GraphSet:
        model = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
        how: dict[str, Any] = {"recipe_name": "", "resume": resume, "same": {}}
        return start_run(run, RECIPE, source_of(bands), model, QUIET, **how)

    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training.runs, "load_graphs", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(begin, False)
        try:
            assert building.wait(60)
            assert os.listdir(run) == []
            for resume in (False, True):
                assert AT_WORK in message_of(lambda: begin(resume))  # noqa: B023
        finally:
            told.set()
        first.result()
    assert (run / "config.yaml").is_file()
    begin(resume=True)


def test_a_run_that_could_not_begin_leaves_no_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> GraphSet:
        raise linegraph.InputError("no graph can be made of it")

    run = tmp_path / "runs" / "one"
    model = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    monkeypatch.setattr(training.runs, "load_graphs", broken)
    source = source_of(load_bands(data))
    said = message_of(
        lambda: start_run(run, RECIPE, source, model, QUIET, recipe_name="", resume=False, same={})
    )
    assert "no graph" in said
    assert os.listdir(tmp_path) == []


def test_two_commands_at_once_get_two_names(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def begin() -> Path:
        with click.Context(click.Command("train")):
            both.wait()
            folder = free_folder(tmp_path / "runs" / "small")
            both.wait()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").touch()
            return folder

    with ThreadPoolExecutor(2) as pool:
        found = [job.result() for job in [pool.submit(begin), pool.submit(begin)]]
    assert sorted(folder.name for folder in found) == ["small", "small-2"]
    assert sorted(os.listdir(tmp_path / "runs")) == ["small", "small-2"]


def test_a_command_that_writes_nothing_leaves_no_name_behind(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    with click.Context(click.Command("train")):
        assert free_folder(tmp_path / "small") == tmp_path / "small-2"
        assert AT_WORK in in_a_thread(lambda: message_of(lambda: try_to_hold(tmp_path / "small-2")))
    assert os.listdir(tmp_path) == ["small"]


def test_a_name_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with click.Context(click.Command("train")):
        said = message_of(lambda: free_folder(tmp_path / "runs" / "small"))
    assert said == f"{tmp_path / 'runs' / 'small'}: cannot be created (File exists)"
    said = message_of(lambda: try_to_hold(tmp_path / "runs"))
    assert said == f"{tmp_path / 'runs'}: cannot be created (File exists)"


def test_a_run_is_gone_on_with_by_one_command_at_a_time(tmp_path: Path) -> None:
    def go_on() -> None:
        with run_folder(tmp_path, True, ""):
            pass

    (tmp_path / "config.yaml").touch()
    with run_folder(tmp_path, True, ""):
        said = in_a_thread(lambda: message_of(go_on))
        assert said == f"{tmp_path}: {AT_WORK}; choose another --out, or wait for its end"
        # What the command calls claims the folder again.
        go_on()
        assert AT_WORK in in_a_thread(lambda: message_of(go_on)), "the inner one let go"
    in_a_thread(go_on)


#: A run that has started another process, which it does not outlive.
AT_IT = """
import os, sys, time
from training.held import held
with held(sys.argv[1]):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(600)
"""


def test_who_was_killed_holds_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [sys.executable, "-c", AT_IT, str(run)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            said = message_of(lambda: try_to_hold(run))
            process.kill()
            process.wait()
            os.kill(child, 0)
            try_to_hold(run)
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)
    assert AT_WORK in said
    assert run.is_dir(), "it was there before"


def test_only_what_was_made_and_is_empty_is_removed(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()
    assert os.listdir(tmp_path) == []
    (tmp_path / "a").mkdir()
    with held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "c").touch()
    assert os.listdir(tmp_path / "a") == ["c"]
    with held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "x").touch()
    assert os.listdir(tmp_path / "a" / "b") == ["x"]


def test_a_folder_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, flock = tmp_path / "run", fcntl.flock
    removed: list[Path] = []

    def late(descriptor: int, operation: int) -> None:
        if not removed:
            run.rmdir()
            removed.append(run)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with held(run):
        assert removed
        assert run.is_dir()
        monkeypatch.undo()
        assert AT_WORK in in_a_thread(lambda: message_of(lambda: try_to_hold(run)))


def test_without_locks_a_new_name_is_still_had_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path / "run", new=True) as folder:
        assert folder.is_dir()
        in_a_thread(lambda: try_to_hold(folder))
        with pytest.raises(FileExistsError), held(folder, new=True):
            pass
