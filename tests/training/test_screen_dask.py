"""The example of the docs on a Dask cluster of two processes, and what may happen to it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.linegraph.test_hops import structure
from tests.test_readme import ROOT, blocks
from tests.training.test_screen_soak import generate
from training.screen.run import screen

pytest.importorskip("distributed")

PAGE = "docs/screen.md"

#: Structures of those that are interrupted.
COUNT = 16

(EXAMPLE,) = (text for text in blocks(PAGE, "python") if "LocalCluster" in text)


def tables(out: str) -> list[bytes]:
    return [Path(out, name).read_bytes() for name in ("ranking.csv", "failures.csv")]


def results() -> list[Path]:
    return sorted(Path("runs/dask/structures").glob("[!.]*.json"))


def screened_plainly(folder: str = "plain") -> list[bytes]:
    screen(folder, "crystals", "Li", workers=1, progress=False)
    return tables(folder)


def test_dask_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = tmp_path / "crystals"
    crystals.mkdir()
    for name in ("LiF", "LiCl", "LiBr", "LiTiS2"):
        made = structure(name).get_primitive_structure()
        made.to(filename=str(crystals / f"{name}.cif"))
    (crystals / "junk.cif").write_text("no crystal\n")
    monkeypatch.chdir(tmp_path)
    # Workers of joblib that another test has left wait for further work.
    before = multiprocessing.active_children()
    there: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(EXAMPLE, PAGE, "exec"), there)
    assert set(multiprocessing.active_children()) <= set(before)
    assert len(there["found"].ranking) == 4
    assert len(there["found"].failures) == 1
    assert tables("runs/dask") == screened_plainly()


@contextmanager
def started(count: int) -> Iterator[subprocess.Popen[str]]:
    """The example as a program of its own in this folder, when so many structures are done."""
    generate(Path("crystals"), COUNT)
    Path("example.py").write_text(EXAMPLE)
    process = subprocess.Popen(
        [sys.executable, "example.py"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    until = time.monotonic() + 300
    try:
        while len(results()) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_worker_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.chdir(tmp_path)
    with started(3) as process:
        children = psutil.Process(process.pid).children()
        workers = [one for one in children if any("spawn_main" in word for word in one.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert tables("runs/dask") == screened_plainly()


@pytest.mark.slow
def test_interrupted_then_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with started(3) as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
    assert "KeyboardInterrupt" in said
    done = results()
    assert 3 <= len(done) < COUNT
    # Workers have gone on until they were stopped, so there may be more than the tables hold.
    assert 3 <= sum(table.count(b"\n") - 1 for table in tables("runs/dask")) <= len(done)
    kept = [path for path in done if json.loads(path.read_text())["failure"] is None]
    times = [path.stat().st_mtime_ns for path in kept]
    screen("runs/dask", "crystals", "Li", workers=1, progress=False, resume=True)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert tables("runs/dask") == screened_plainly()
