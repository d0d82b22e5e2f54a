from __future__ import annotations

import csv
import errno
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from linegraph.atomic_files import remove_unfinished, replacing
from linegraph.errors import InputError
from training.files import (
    holds_nothing,
    make_folder,
    new_run_folder,
    write_csv,
    write_json,
    write_text,
    write_yaml,
)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_replacing_shows_the_file_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("old")
    with replacing(path) as partial:
        assert partial.parent == tmp_path
        assert partial.suffix == ".safetensors"
        assert not partial.exists()
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.safetensors"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_leaves_everything_as_it_was_on_failure(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as outer, replacing(path) as inner:
        assert outer != inner
        outer.write_text("outer")
        inner.write_text("inner")
    assert path.read_text() == "outer"


def test_content_is_synced_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_text(tmp_path / "a.txt", "x")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_what_the_system_refuses_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError) as caught:
        write_text(path, "new")
    assert str(caught.value) == f"{path}: cannot be written ({os.strerror(code)})"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [("missing/a.txt", "No such file"), ("file/a.txt", "Not a directory"), ("folder", "directory")],
)
def test_impossible_places_are_refused(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=reason) as caught:
        write_text(tmp_path / place, "x")
    assert caught.value.file == tmp_path / place
    assert names(tmp_path) == ["file", "folder"]


def test_files_are_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "a.txt", "x")
    mode = stat.S_IMODE((tmp_path / "a.txt").stat().st_mode)
    assert mode == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "last.json"
    link.symlink_to(tmp_path / "elsewhere" / "a.json")
    write_json(link, 1)
    assert link.is_symlink()
    assert names(tmp_path / "elsewhere") == ["a.json"]


def test_text_is_utf8_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Å\nβ\n")
    assert (tmp_path / "a.txt").read_bytes() == "Å\nβ\n".encode()


def test_halves_of_characters_are_escaped(tmp_path: Path) -> None:
    """Names of files that are not in UTF-8 have them, and JSON from elsewhere may."""
    half = "a\ud800"
    write_json(tmp_path / "a.json", [half])
    write_csv(tmp_path / "a.csv", ["x"], [[half]])
    write_yaml(tmp_path / "a.yaml", [half])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == [half]
    assert (tmp_path / "a.csv").read_text("utf-8") == "x\na\\ud800\n"
    assert "\\ud800" in (tmp_path / "a.yaml").read_text("utf-8").lower()


def test_json_keeps_the_order_and_the_digits(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"r2": None, "mae": 0.1 + 0.2, "a": "Å"})
    text = path.read_text(encoding="utf-8")
    assert list(json.loads(text).items()) == [("r2", None), ("mae", 0.1 + 0.2), ("a", "Å")]
    assert text.endswith("}\n")
    assert "Å" in text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path: Path, number: float) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(InputError, match="JSON") as caught:
        write_json(path, {"mae": number})
    assert caught.value.file == path
    assert names(tmp_path) == []


def test_yaml_reads_back_and_reads_well(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    shared = [1, 2]
    config = {"z": shared, "a": shared, "rate": 1e-5, "unit": "Å", "none": None, "text": "on"}
    write_yaml(path, config)
    text = path.read_text(encoding="utf-8")
    assert list(yaml.safe_load(text).items()) == list(config.items())
    assert "&" not in text
    assert "Å" in text


def test_csv_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    rows = [("a,b", 0.1 + 0.2, None), ('q"', -1.0, 2)]
    write_csv(path, ["name", "target", "rank"], iter(rows))
    assert b"\r" not in path.read_bytes()
    with path.open(newline="") as stream:
        header, first, second = csv.reader(stream)
    assert header == ["name", "target", "rank"]
    assert (first[0], float(first[1]), first[2]) == ("a,b", 0.1 + 0.2, "")
    assert second == ['q"', "-1.0", "2"]


def test_csv_refuses_ragged_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 values for 2 columns") as caught:
        write_csv(tmp_path / "a.csv", ["a", "b"], [(1, 2), (3,)])
    assert caught.value.record == 1
    assert names(tmp_path) == []


def test_new_run_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    folder = new_run_folder(tmp_path / "runs" / "one")
    assert folder == tmp_path / "runs" / "one"
    assert folder.is_dir()
    assert new_run_folder(str(folder)) == folder


def test_new_run_folder_never_mixes_two_runs(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(
        InputError, match="run folder already exists; choose another --out or use --resume"
    ) as caught:
        new_run_folder(tmp_path)
    assert caught.value.file == tmp_path


def test_new_run_folder_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(InputError, match="File exists"):
        new_run_folder(tmp_path / "run")


#: What a process does that is killed while it writes.
KILLED = """
import os, signal, sys
from linegraph.atomic_files import replacing
with replacing(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that a killed process was writing."""
    folder = tmp_path_factory.mktemp("killed")
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", KILLED, str(folder / "a.json")], cwd=root, check=False)
    (file,) = folder.iterdir()
    assert file.name.startswith(".partial-") and file.suffix == ".json"
    return file


def test_what_killed_processes_were_writing_is_removed(left_behind: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "fold-1").mkdir(parents=True)
    for folder in (tmp_path / "run", tmp_path / "run" / "fold-1"):
        (folder / left_behind.name).write_text("half")
        (folder / "a.json").write_text("{}")
    (tmp_path / "run" / ".partial-notes.txt").write_text("of somebody else")
    (tmp_path / "run" / "link").symlink_to(left_behind.parent)
    remove_unfinished(tmp_path / "run")
    assert names(tmp_path / "run") == [".partial-notes.txt", "a.json", "fold-1", "link"]
    assert names(tmp_path / "run" / "fold-1") == ["a.json"]
    assert left_behind.exists()
    remove_unfinished(tmp_path / "nowhere")


def test_where_others_write_their_files_are_left_alone(left_behind: Path, tmp_path: Path) -> None:
    dead = tmp_path / left_behind.name
    dead.write_text("half")
    _, machine, process, number = left_behind.stem.split("-")
    away = tmp_path / f".partial-{'0' * 8}-{process}-{number}.json"
    long_away = tmp_path / f".partial-{'1' * 8}-{process}-{number}.json"
    for file in (away, long_away):
        file.write_text("half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(long_away, (two_days_ago, two_days_ago))
    with replacing(tmp_path / "b.json") as ours:
        ours.write_text("half")
        assert ours.name.split("-")[1:3] == [machine, str(os.getpid())]
        remove_unfinished(tmp_path, shared=True)
        assert names(tmp_path) == sorted([away.name, ours.name])
    assert names(tmp_path) == [away.name, "b.json"]


def test_a_killed_helper_that_nobody_has_asked_after_yet_has_ended(tmp_path: Path) -> None:
    """A zombie: its number is still taken, and in some containers stays so for good."""
    with replacing(tmp_path / "a.json") as ours:
        ours.touch()
        _, machine, _, number = ours.stem.split("-")
    helper = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert helper.stdout is not None and helper.stdout.read() == b""
    half = tmp_path / f".partial-{machine}-{helper.pid}-{number}.json"
    half.touch()
    until = time.monotonic() + 10
    while half.exists() and time.monotonic() < until:
        remove_unfinished(tmp_path, shared=True)
        time.sleep(0.05)
    assert helper.returncode is None and not half.exists()
    helper.communicate()


def test_a_folder_with_nothing_but_unfinished_files_holds_nothing(
    left_behind: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert holds_nothing(run)
    run.mkdir()
    assert holds_nothing(run)
    (run / left_behind.name).write_text("half")
    assert holds_nothing(run)
    assert new_run_folder(run) == run
    (run / ".hidden").touch()
    assert not holds_nothing(run)
    with pytest.raises(InputError, match="cannot be read"):
        holds_nothing(run / ".hidden")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b") == make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be created") as caught:
        make_folder(tmp_path / "file" / "b")
    assert caught.value.file == tmp_path / "file" / "b"


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(InputError, match=r"cannot be written \(is a pipe or a device\)"):
            write_text(path, "text")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]
