"""Screening: rankings, folders that are gone on with, and workers."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import pytest
from pymatgen.core import Lattice, Structure

from linegraph import embedding, ensemble, prediction
from linegraph.ensemble_file import save_ensemble
from linegraph.predicted import Prediction
from linegraph.prediction import predict
from tests.bands import some_bands
from tests.ensembles import ensemble_of
from tests.errors import message_of
from tests.integration.test_cli import write_structure
from tests.linegraph.test_hops import structure
from training.screen import worker
from training.screen.ranking import Row, row_of
from training.screen.run import Screened, screen, structure_files
from training.starter import starter_bands

GOOD = ("KCl", "LiCl", "LiF", "LiTiS2", "Na", "NaCl")
BAD = ("band.cif", "gone.cif", "junk.cif", "pipe.cif", "two.cif")

#: Only what a process of its own needs: each structure slowed down, so that it can be killed.
CODE = """
import sys, time
from training.screen import worker
from training.screen.run import screen
done = worker.predict
def slow(*given, **how):
    time.sleep(0.3)
    return done(*given, **how)
worker.predict = slow
folder, out, weights = sys.argv[1:]
screen(out, folder, weights=weights, workers=1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six crystals, five files that are none, and what is left out."""
    folder = tmp_path_factory.mktemp("crystals")
    for name in GOOD:
        if name == "Na":
            made = Structure(Lattice.cubic(4.2), ["Na", "Na"], [[0] * 3, [0.5] * 3])
        else:
            made = structure(name).get_primitive_structure()
        made.to(filename=str(folder / f"{name}.cif"))
    write_structure(folder / "band.cif", some_bands()[0])
    (folder / "junk.cif").write_text("no crystal\n")
    mixed = Structure(Lattice.cubic(4.2), ["Li", "Na", "O"], [[0] * 3, [0.5, 0.5, 0], [0.5] * 3])
    mixed.to(filename=str(folder / "two.cif"))
    (folder / ".hidden.cif").write_text("")
    (folder / "gone.cif").symlink_to(folder / "nothing.cif")
    os.mkfifo(folder / "pipe.cif")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    structure("LiBr").to(filename=str(elsewhere / "LiBr.cif"))
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    (folder / "folder").mkdir()
    structure("LiBr").to(filename=str(folder / "folder" / "LiBr.cif"))
    return folder


def screened(out: Path, folder: Path, weights: Path, **how: Any) -> Screened:
    return screen(out, folder, weights=weights, progress=False, **{"workers": 1, **how})


@pytest.fixture(scope="module")
def whole(folder: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished screening."""
    out = tmp_path_factory.mktemp("runs") / "run"
    screened(out, folder, weights)
    return out


def tables(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("ranking.csv", "failures.csv")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that are read from now on."""
    files: list[str] = []
    read = worker.read_crystal

    def noted(file: Path, ion: str | None) -> Any:
        files.append(file.name)
        return read(file, ion)

    monkeypatch.setattr(worker, "read_crystal", noted)
    return files


def test_rows_are_what_predict_says(whole: Path, folder: Path, weights: Path) -> None:
    with (whole / "ranking.csv").open() as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert sorted(rows) == [f"{name}.cif" for name in GOOD]
    for file, row in rows.items():
        found: Prediction = predict(folder / file, weights=weights, device="cpu")
        assert (row["formula"], row["ion"]) == (found.formula, found.ion)
        assert int(row["hops"]) == len(found.hops)
        for level, interval in zip(found.percolation, found.intervals, strict=True):
            d = level.dimension
            if level.barrier is None:
                assert row[f"barrier_{d}D_eV"] == row[f"directions_{d}D"] == ""
                continue
            assert float(row[f"barrier_{d}D_eV"]) == pytest.approx(level.barrier, abs=2e-6)
            assert str(level).endswith(f" eV, {row[f'directions_{d}D']}")
            assert interval is not None
            between = [float(row[f"{end}_{d}D_eV"]) for end in ("low", "high")]
            assert between == pytest.approx(interval, rel=1e-4, abs=2e-6)
        first = found.percolation[0].barrier
        assert first is not None
        used = [hop.barrier for hop in found.hops if hop.barrier.value <= first]
        last = max(used, key=lambda barrier: barrier.value)
        assert float(row["probability_below_threshold"]) == pytest.approx(last.below, abs=1e-5)
        assert row["outside"] == str(any(barrier.outside for barrier in used))
        assert int(row["blocked_hops"]) == sum(hop.blocked for hop in found.hops)


def test_files_that_cannot_be_used(whole: Path) -> None:
    with (whole / "failures.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == list(BAD)
    assert [row["field"] for row in rows] == ["", "", "", "", "ion"]
    band, gone, junk, pipe, two = (row["problem"] for row in rows)
    assert "looks like a band" in band
    assert gone == "is a link to a file that is not there"
    assert junk
    assert pipe == "is no regular file"
    assert "Li or Na" in two


def test_every_structure_has_a_file_with_times(whole: Path, folder: Path) -> None:
    kept = [json.loads(path.read_text()) for path in (whole / "structures").iterdir()]
    assert sorted(one["file"] for one in kept) == sorted([*(f"{n}.cif" for n in GOOD), *BAD])
    for one in kept:
        assert (one["prediction"] is None) == (one["failure"] is not None) == (one["file"] in BAD)
        if one["prediction"] is not None:
            assert tuple(one["seconds"]) == worker.STAGES
            assert min(one["seconds"].values()) > 0


def row(file: str, *barriers: float | None) -> Row:
    percolation = [
        {"dimension": d, "barrier_eV": barrier, "low_eV": None, "high_eV": None, "directions": []}
        for d, barrier in enumerate(barriers, start=1)
    ]
    hop = {"barrier_eV": 0.3, "outside": True, "blocked": True, "probability_below_threshold": 0.9}
    other = {**hop, "barrier_eV": 0.5, "outside": False, "probability_below_threshold": 0.4}
    return row_of(
        file,
        {
            "formula": "LiF", "ion": "Li", "hops": [hop, other], "percolation": percolation,
            "percolation_without_blocked": percolation, "level": 0.9, "threshold_eV": 0.65,
            "model": {"calibrated": True},
        },
    )  # fmt: skip


def test_order_of_the_ranking() -> None:
    expected = [
        row("e", 0.3, 0.3, 0.5),
        row("d", 0.3, 0.5, None),
        row("b", 0.3, None, None),
        row("c", 0.3, None, None),
        row("g", 0.5, 0.5, 0.5),
        row("a", None, None, None),
    ]
    shuffled = [expected[i] for i in (3, 5, 0, 4, 2, 1)]
    assert sorted(shuffled, key=lambda one: one.order) == expected
    assert [one.below for one in expected] == [0.9] * 4 + [0.4, None]
    assert all(one.outside for one in expected)
    assert {one.blocked for one in expected} == {2}


def test_every_stage_is_timed_apart(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0]

    def lasting(seconds: int, does: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any, **how: Any) -> Any:
            clock[0] += seconds
            return does(*given, **how)

        return done

    monkeypatch.setattr(worker, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for module, name, seconds in (
        (worker, "read_crystal", 1),
        (prediction, "hops", 10),
        (prediction, "band_of", 100),
        (ensemble, "views", 1000),
        (embedding, "values_and_embeddings", 10_000),
        (prediction, "percolation", 100_000),
    ):
        monkeypatch.setattr(module, name, lasting(seconds, getattr(module, name)))
    crystals = tmp_path / "crystals"
    crystals.mkdir()
    (crystals / "NaCl.cif").write_bytes((folder / "NaCl.cif").read_bytes())
    found = screened(tmp_path / "run", crystals, weights)
    hops = found.ranking[0].hops
    # The first of two members is asked before it begins.
    assert found.seconds == {
        "read": 1, "hops": 10, "bands": 100 * hops, "graphs": 1000 * hops + 10_000,
        "model": 10_000, "percolation": 400_000,
    }  # fmt: skip


def test_of_several_ions_the_first_that_is_there(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    crystals = tmp_path / "crystals"
    crystals.mkdir()
    for name in ("two", "NaCl", "KCl"):
        (crystals / f"{name}.cif").write_bytes((folder / f"{name}.cif").read_bytes())
    found = screened(tmp_path / "run", crystals, weights, ion=" Na, Li")
    assert {row.file: row.ion for row in found.ranking} == {"NaCl.cif": "Na", "two.cif": "Na"}
    (failure,) = found.failures
    assert (failure.file, failure.field) == ("KCl.cif", "ion")
    assert failure.problem == "none of Na, Li is in the structure"
    other = screened(tmp_path / "other", crystals, weights, ion="Li,Na")
    assert {row.file: row.ion for row in other.ranking} == {"NaCl.cif": "Na", "two.cif": "Li"}


def test_nothing_is_done_twice(
    folder: Path, weights: Path, whole: Path, tmp_path: Path, asked: list[str]
) -> None:
    out = tmp_path / "run"
    screened(out, folder, weights)
    everything = sorted([*(f"{name}.cif" for name in GOOD), *BAD])
    assert asked == everything
    asked.clear()
    kept = {path: path.stat().st_mtime_ns for path in (out / "structures").iterdir()}
    found = screened(out, folder, weights, resume=True)
    assert asked == list(BAD)
    assert len(found.ranking) == len(GOOD)
    unchanged = [p for p, changed in kept.items() if p.stat().st_mtime_ns == changed]
    assert len(unchanged) == len(GOOD)
    assert tables(out) == tables(whole)


def test_a_file_that_changed_is_done_again(weights: Path, tmp_path: Path, asked: list[str]) -> None:
    crystals, out = tmp_path / "crystals", tmp_path / "run"
    crystals.mkdir()
    structure("LiF").to(filename=str(crystals / "a.cif"))
    structure("LiCl").to(filename=str(crystals / "b.cif"))
    screened(out, crystals, weights)
    structure("NaCl").to(filename=str(crystals / "b.cif"))
    structure("KCl").to(filename=str(crystals / "c.cif"))
    asked.clear()
    found = screened(out, crystals, weights, resume=True)
    assert asked == ["b.cif", "c.cif"]
    assert {row.file: row.formula for row in found.ranking} == {
        "a.cif": "LiF", "b.cif": "NaCl", "c.cif": "KCl"
    }  # fmt: skip


def test_other_settings_are_refused(folder: Path, weights: Path, whole: Path) -> None:
    said = message_of(lambda: screened(whole, folder, weights, resume=True, threshold=0.5))
    assert "threshold was 0.65, now 0.5" in said
    other = weights.with_name("other.safetensors")
    save_ensemble(other, ensemble_of(starter_bands()[:12]))
    said = message_of(lambda: screened(whole, folder, other, resume=True))
    assert "weights was '" in said
    assert "already exists" in message_of(lambda: screened(whole, folder, weights))


def test_what_every_structure_would_fail_with(folder: Path, weights: Path, tmp_path: Path) -> None:
    for how, words in (
        ({"ion": "Xx"}, "'Xx' is no element"),
        ({"ion": "Li,"}, "'' is no element"),
        ({"level": 1.0}, "level"),
        ({"threshold": 0.0}, "threshold"),
        ({"max_length": 0.0}, "max_length"),
        ({"min_width": -1.0}, "min_width"),
        ({"device": "gpu"}, "unknown device"),
        ({"workers": 0}, "workers"),
    ):
        out = tmp_path / "run"
        assert words in message_of(lambda: screened(out, folder, weights, **how))  # noqa: B023
        assert not out.exists()
    assert "no such weights" in message_of(lambda: screened(out, folder, tmp_path / "none"))
    assert "no such folder" in message_of(lambda: structure_files(tmp_path / "none"))
    assert "no structure files" in message_of(lambda: structure_files(tmp_path))


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_error_is_a_failure(
    debug: bool,
    folder: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(cell: Any, *, weights: Any, **how: Any) -> Prediction:
        if len(cell) == 3:
            raise ZeroDivisionError("nobody knows why\nat all")
        return predict(cell, weights=weights, **how)

    monkeypatch.setattr(worker, "predict", broken)
    found = screened(tmp_path / "run", folder, weights, debug=debug)
    told = {one.file: one.problem for one in found.failures}
    assert told["two.cif"] == "unexpected ZeroDivisionError: nobody knows why"
    assert len(found.ranking) == len(GOOD)
    shown = capsys.readouterr().err
    for file, words in (
        ("two.cif", "in broken\n"),
        ("two.cif", "ZeroDivisionError: nobody knows why\nat all\n"),
        ("junk.cif", "InputError: "),
    ):
        assert (f"{file}: Traceback (most recent call last):\n" in shown) == debug
        assert (words in shown) == debug


def test_killed_then_resumed(
    folder: Path, weights: Path, whole: Path, tmp_path: Path, asked: list[str]
) -> None:
    out = tmp_path / "run"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, (folder, out, weights))],
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    until = time.monotonic() + 180
    while len(done := list((out / "structures").glob("[!.]*.json"))) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    finished = [found for path in done if (found := json.loads(path.read_text()))["prediction"]]
    assert 0 < len(finished) < len(GOOD)
    screened(out, folder, weights, resume=True)
    assert not {one["file"] for one in finished} & set(asked)
    assert tables(out) == tables(whole)


def test_interrupted_has_tables_of_what_is_done(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(file: Path, ion: str | None) -> Any:
        if file.name == "LiTiS2.cif":
            raise KeyboardInterrupt
        return read(file, ion)

    read = worker.read_crystal
    monkeypatch.setattr(worker, "read_crystal", pressed)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        screened(out, folder, weights)
    lines = (out / "ranking.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == ["KCl.cif", "LiCl.cif", "LiF.cif"]


@pytest.mark.parametrize(
    ("block", "workers", "expected"),
    [
        ({"n_jobs": 2}, None, 2),
        ({"n_jobs": 2}, 1, 1),
        ({"n_jobs": 1}, 2, 2),
        ({"backend": "threading", "n_jobs": 3}, None, 3),
        ({"backend": "threading"}, None, None),
        ({}, None, None),
    ],
)
def test_as_many_workers_as_the_block_says(
    block: dict[str, Any],
    workers: int | None,
    expected: int | None,
    folder: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []

    def noted(n_jobs: int, **how: Any) -> Any:
        told.append(n_jobs)
        return lambda tasks: iter(())

    monkeypatch.setattr(joblib, "Parallel", noted)
    with joblib.parallel_config(**block):
        screened(tmp_path / "run", folder, weights, workers=workers)
    assert told == [expected or min(joblib.cpu_count(), len(GOOD) + len(BAD))]


@pytest.mark.slow
def test_two_processes_give_the_same(
    folder: Path, weights: Path, whole: Path, tmp_path: Path
) -> None:
    screened(tmp_path / "run", folder, weights, workers=2)
    assert tables(tmp_path / "run") == tables(whole)


@pytest.mark.parametrize("backend", ["threading", "sequential", "multiprocessing"])
def test_another_backend(
    backend: str, folder: Path, weights: Path, whole: Path, tmp_path: Path
) -> None:
    with joblib.parallel_config(backend=backend):
        screened(tmp_path / "run", folder, weights, workers=2)
    assert tables(tmp_path / "run") == tables(whole)
