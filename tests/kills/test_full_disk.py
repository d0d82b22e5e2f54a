"""A disk that fills up: one clear error, the last good state kept, and --resume ends the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linegraph.errors import InputError
from tests.bands import data_file, settings
from tests.integration.command import linegraph
from training.callbacks import History, read_history
from training.files import write_json

from .commands import baseline_words, neb_words, screen_words, train_words
from .folders import contents, unfinished
from .harness import Ended, Server

REASON = "File too large"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def trained(server: Server, data: Path) -> tuple[Path, list[str]]:
    """A training that had room, and the files it wrote, in order."""
    run = data / "trained"
    ended = server.run([*train_words(data, 3), "--out", run], run, data / "beside")
    assert ended.code == 0, ended.said
    return run, ended.renames


def assert_told(ended: Ended, file: Path) -> None:
    """One line, about this file."""
    assert ended.code == 2, ended.said
    lines = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {file}: cannot be written ({REASON})"]
    assert "Traceback" not in ended.said


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("checkpoints/last.ckpt", 2),
        ("predictions.csv", 1),
        *(
            pytest.param(name, number, marks=pytest.mark.slow)
            for name, number in (
                ("history.csv", 2), ("model.safetensors", 1), ("parity.png", 1), ("metrics.json", 1)
            )
        ),
    ],
)  # fmt: skip
def test_no_room_in_a_training(
    file: str, number: int, server: Server, data: Path, trained: tuple[Path, list[str]],
    tmp_path: Path,
) -> None:  # fmt: skip
    whole, renames = trained
    run, words = tmp_path / "run", train_words(data, 3)
    places = [i for i, name in enumerate(renames) if name == Path(file).name]
    full_from = places[number - 1]
    ended = server.run([*words, "--out", run], run, tmp_path / "beside", full_from=full_from)
    assert_told(ended, run / file)
    kept = set(renames[:full_from])
    assert set(contents(run)) == {name for name in contents(whole) if Path(name).name in kept}
    assert unfinished(tmp_path) == []
    ended = server.run([*words, "--out", run, "--resume"], run, tmp_path / "beside")
    assert ended.code == 0, ended.said
    assert contents(run) == contents(whole)


def test_no_room_for_graphs(
    server: Server, data: Path, trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """They are made again when they are needed: that they are not kept is only said."""
    run, words = tmp_path / "run", train_words(data, 3)
    ended = server.run([*words, "--out", run], run, tmp_path / "beside", full_from=0)
    assert ended.said.count(f"cannot be written ({REASON})") == 4
    assert ended.said.count("graphs were not cached") == 3
    assert_told(ended, run / "config.yaml")
    assert unfinished(tmp_path) == [] and contents(tmp_path / "beside") == {}
    ended = server.run([*words, "--out", run, "--resume"], run, tmp_path / "beside")
    assert ended.code == 0, ended.said
    assert contents(run) == contents(trained[0])


@pytest.mark.parametrize(
    ("name", "after", "file"),
    [
        pytest.param("baseline", "predictions.csv", "fold-1/parity.png", marks=pytest.mark.slow),
        ("neb", "rO.json", "barriers.csv"),
        ("screen", "config.yaml", "ranking.csv"),
    ],
)
def test_no_room_for_results(
    name: str, after: str, file: str, server: Server, data: Path, tmp_path: Path
) -> None:
    if name == "baseline":
        pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    made: dict[str, Callable[[Path], list[str]]] = {
        "baseline": baseline_words, "neb": neb_words, "screen": screen_words,
    }  # fmt: skip
    words = made[name](data)
    run, whole = tmp_path / "run", tmp_path / "whole"
    ended = server.run([*words, "--out", whole], whole, tmp_path / "beside")
    assert ended.code == 0, ended.said
    full_from = _first_run(ended.renames, after)
    beside = tmp_path / "beside"
    ended = server.run([*words, "--out", run], run, beside, full_from=full_from)
    assert_told(ended, run / file)
    contents(run)
    ended = server.run([*words, "--out", run, "--resume"], run, beside)
    assert ended.code == 0, ended.said
    assert contents(run) == contents(whole)


def _first_run(renames: list[str], after: str) -> int:
    """How many files of a run were in place after one of them, where the cache was full before."""
    kept = [name for name in renames if not name.startswith(("path-", "structure-"))]
    return kept.index(after) + 1


def test_no_room_is_no_failure_of_a_structure(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result may not fit where a failure, which is shorter, still does."""

    def full(path: Path, content: dict[str, object]) -> None:
        if content["prediction"] is None:
            write_json(path, content)
        else:
            raise InputError("cannot be written (full)", file=path) from OSError("full")

    monkeypatch.setattr("training.screen.store.write_json", full)
    run = tmp_path / "run"
    shown = linegraph(*screen_words(data), "--out", run, code=2)
    assert "LiF_000.cif" in shown.stderr and "cannot be written (full)" in shown.stderr
    assert contents(run)["failures.csv"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes free."""
    padding = disk / "padding"
    with padding.open("ab", buffering=0) as stream:
        size = 65536
        while size:
            try:
                stream.write(bytes(size))
            except OSError:
                size //= 2
    with padding.open("r+b") as stream:
        stream.truncate(max(0, padding.stat().st_size - free))


@pytest.mark.slow
@pytest.mark.parametrize(("free", "file"), [(0, "history.csv"), (8192, "checkpoints/last.ckpt")])
def test_a_small_disk(
    free: int, file: str, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = data_file(tmp_path / "bands.json")
    words = ["train", "--data", bands, *settings(epochs=6, val=0.0), "--workers", 0]
    linegraph(*words, "--out", tmp_path / "whole")
    run = small_disk / "run"

    def full(self: History, trainer: object, *args: object) -> None:
        if len(self.rows) == 3:
            fill(small_disk, free)

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_end", full)
        shown = linegraph(*words, "--out", run, code=2)
    (line,) = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
    assert line == f"error: {run / file}: cannot be written (No space left on device)"
    assert len(read_history(run / "history.csv")) == 3 + (free > 0)
    contents(run)
    (small_disk / "padding").unlink()
    linegraph(*words, "--out", run, "--resume")
    assert contents(run) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_small_disk_for_graphs_and_reports(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = data_file(tmp_path / "bands.json")
    words = ["train", "--data", bands, *settings(epochs=1), "--workers", 0, "--out"]
    linegraph(*words, tmp_path / "whole")
    monkeypatch.setenv("LINEGRAPH_CACHE", str(small_disk / "cache"))
    fill(small_disk, 4096)
    with pytest.warns(UserWarning, match="not cached: .*No space left on device"):
        linegraph(*words, tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    (small_disk / "padding").unlink()
    fill(small_disk, 8192)
    report = small_disk / "report"
    shown = linegraph("report", tmp_path / "run", "--data", bands, "--out", report, code=2)
    (line,) = shown.stderr.splitlines()
    assert line.startswith(f"error: {report}/")
    assert line.endswith(": cannot be written (No space left on device)")
    assert unfinished(report) == []
    # A file that is there already stays as it was.
    kept = small_disk / "bands.json"
    kept.write_text("kept")
    fill(small_disk, 0)
    shown = linegraph("data", "--data", bands, "--out", kept, code=2)
    assert f"{kept}: cannot be written (No space left on device)" in shown.stderr
    assert kept.read_text() == "kept"
