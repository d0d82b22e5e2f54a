"""Runs of nudged elastic bands as real processes, ended by real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.neb.run import neb
from training.records import write_bands

from .neb_calculators import wave_band

CALCULATOR = "tests.training.neb_calculators:WaveCalculator"
HOSTS = ("O", "S", "Se", "Te", "F", "Cl")

#: What a process does: the same as :func:`neb` here, each evaluation slowed down.
CODE = """
import sys
from training.neb.run import neb
data, out, log, workers, resume = sys.argv[1:]
print("ready", flush=True)
neb(out, data=data, calculator="tests.training.neb_calculators:WaveCalculator",
    options={"log": log, "pause": 0.01}, workers=int(workers), resume=bool(resume))
"""


def begin(folder: Path, workers: int, resume: bool = False) -> subprocess.Popen[str]:
    words = [folder / "data.json", folder / "run", folder / "log", workers, "yes" if resume else ""]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    )


def done(folder: Path) -> dict[str, str]:
    """The files of records that are done, by name; each must be whole."""
    found = {}
    for file in (folder / "run" / "records").glob("r*.json"):
        text = file.read_text()
        assert json.loads(text)["name"] == file.stem
        found[file.stem] = text
    return found


def wait_for(folder: Path, process: subprocess.Popen[str], count: int) -> None:
    until = time.monotonic() + 120
    while len(done(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bands(tmp_path / "data.json", [wave_band(f"r{h}", h) for h in HOSTS])
    return tmp_path


def finish(folder: Path, before: dict[str, str]) -> None:
    """Resume here; nothing that was done is done again, and nothing of it changes."""
    log = folder / "log"
    seen = len(log.read_text().splitlines())
    found = neb(
        folder / "run",
        data=folder / "data.json",
        calculator=CALCULATOR,
        options={"log": str(log), "pause": 0.01},
        resume=True,
        progress=False,
    )
    assert [result.name for result in found.results] == [f"r{host}" for host in HOSTS]
    assert all(result.converged for result in found.results)
    hosts = {line.split()[1] for line in log.read_text().splitlines()[seen:]}
    assert hosts == {host for host in HOSTS if f"r{host}" not in before}
    after = done(folder)
    assert {name: after[name] for name in before} == before


def test_killed_then_resumed(folder: Path) -> None:
    process = begin(folder, workers=1)
    wait_for(folder, process, 2)
    process.kill()
    process.communicate(timeout=60)
    before = done(folder)
    assert 2 <= len(before) < len(HOSTS)
    finish(folder, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_with_two_processes(folder: Path, number: signal.Signals) -> None:
    process = begin(folder, workers=2)
    wait_for(folder, process, 2)
    # To the one process: a terminal would send Ctrl+C to its helpers too.
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    before = done(folder)
    assert 2 <= len(before) < len(HOSTS)
    table = (folder / "run" / "barriers.csv").read_text().splitlines()[1:]
    assert 2 <= len(table) <= len(before)
    time.sleep(1)
    assert done(folder) == before, "somebody still works"
    finish(folder, before)


@pytest.mark.slow
def test_two_processes_give_the_same(folder: Path) -> None:
    process = begin(folder, workers=2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    one = neb(folder / "one", data=folder / "data.json", calculator=CALCULATOR, progress=False)
    for result in one.results:
        kept = json.loads(done(folder)[result.name])
        assert kept["energies"] == result.energies
        assert kept["evaluations"] == result.evaluations
    assert err.count(" eV, back ") == len(HOSTS)
