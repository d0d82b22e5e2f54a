"""What lies in run folders and caches: cases, and how they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch

from linegraph.errors import InputError
from tests.bands import some_bands
from tests.judged_runs import hops_file, pretend
from training.baselines.table import FeatureTable, feature_table
from training.ensembles import ensemble_of_run
from training.graphs import GraphSet, load_graphs
from training.judging.given import given_blocks
from training.judging.inputs import gather
from training.neb import store as neb
from training.neb.relax import Result
from training.read import read_bands
from training.runs import check_same_run, read_skipped, source_of, write_skipped
from training.screen import store as screening
from training.screen.ranking import write_tables
from training.screen.run import collect

from .case import Reader
from .damage import damaged
from .documents import spoiled
from .odd import at, odd_files
from .recipes import damage_file

_BANDS = some_bands(2)
_VIEWS = ("band", "local")


@cache
def original_run() -> Path:
    """A run folder of a model that only pretends; its data beside it."""
    folder = Path(mkdtemp())
    run = pretend(folder / "run", hops_file(folder / "data.json"))
    write_skipped(run, [InputError("bad", file="a", record="b", field="c")])
    return run


@cache
def _source() -> Any:
    return source_of(read_bands(original_run().parent / "data.json"))


def _copy_of_run(*names: str) -> Callable[[Path, Random], Path]:
    def make(folder: Path, random: Random) -> Path:
        copy = folder / "run"
        copytree(original_run(), copy)
        damage_file(copy / random.choice(names), random)
        return copy

    return make


def _report(path: Path) -> None:
    entries = gather([("", path)], [], {})
    given_blocks(entries, None)
    for entry in entries:
        assert np.isfinite(entry.predictions.prediction).all()


def _table(path: Path) -> None:
    _report(path)


def _resume(path: Path) -> None:
    check_same_run(
        path, {"model": "MODEL-3", "val": 0.1, "seed": 0}, _source(), {"recipe": "small"}
    )


def _members(path: Path) -> None:
    ensemble_of_run(path, out=path.parent / "out" / "model.safetensors")


def _skipped(path: Path) -> None:
    read_skipped(path)


def _predictions(folder: Path, random: Random) -> Path:
    path = folder / "predictions.csv"
    path.write_bytes(damaged((original_run() / path.name).read_bytes(), random))
    return path


@cache
def _graphs() -> tuple[GraphSet, bytes, str]:
    """Graphs, and the file of the cache that holds them."""
    folder = Path(mkdtemp())
    graphs = load_graphs(_BANDS, "f", _VIEWS, {}, cache=folder, workers=0, progress=False)
    (file,) = folder.iterdir()
    return graphs, file.read_bytes(), file.name


def _shard(folder: Path, random: Random) -> Path:
    _, data, name = _graphs()
    (folder / "out").mkdir()
    path = folder / "out" / name
    path.write_bytes(damaged(data, random))
    return path


def _cached(path: Path) -> None:
    """Whatever is there, the graphs are the right ones."""
    found = load_graphs(_BANDS, "f", _VIEWS, {}, cache=path.parent, workers=0, progress=False)
    wanted = _graphs()[0]
    assert found.triplets == wanted.triplets
    for ours, theirs in zip(found.graphs, wanted.graphs, strict=True):
        for view in _VIEWS:
            for name in theirs[view].keys():  # noqa: SIM118
                assert torch.equal(ours[view][name], theirs[view][name]), f"{name} differs"


def _as_shard(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Something odd where the file of the cache would be."""

    def inner(folder: Path) -> Path:
        (folder / "out").mkdir()
        odd = make(folder)
        if os.path.islink(odd):
            target = folder / os.readlink(odd)
            odd.unlink()
            odd.symlink_to(target)  # from wherever it is moved to
        path = folder / "out" / _graphs()[2]
        with suppress(OSError):
            odd.rename(path)
        return path

    return inner


def _table_of(folder: Path) -> FeatureTable:
    return feature_table(_BANDS[:1], structure=False, workers=0, progress=False, cache=folder)


@cache
def _features() -> tuple[FeatureTable, bytes, str]:
    folder = Path(mkdtemp())
    table = _table_of(folder)
    (file,) = folder.iterdir()
    return table, file.read_bytes(), file.name


def _feature_file(folder: Path, random: Random) -> Path:
    _, data, name = _features()
    (folder / "out").mkdir()
    path = folder / "out" / name
    path.write_bytes(
        spoiled(json.loads(data), random) if random.randrange(2) else damaged(data, random)
    )
    return path


def _measured(path: Path) -> None:
    found, wanted = _table_of(path.parent), _features()[0]
    np.testing.assert_array_equal(found.values, wanted.values)
    assert found.failures == wanted.failures


_RESULT = Result("LiO", energies=[0.0, 0.2, 0.5, 0.2, 0.1], converged=True, force=0.01, steps=3)


def _neb_file(folder: Path, random: Random) -> Path:
    band = _BANDS[0]
    (folder / "records").mkdir()
    store = neb.Store(folder, [band])
    store.write(Result(band.name, energies=_RESULT.energies, converged=True, force=0.01, steps=3))
    damage_file(store.path(band.name), random)
    return store.path(band.name)


def _neb(path: Path) -> None:
    band = _BANDS[0]
    home = path.parent.parent
    found = neb.Store(home, [band]).read_all()
    out = home / "out"
    out.mkdir()
    neb.write_tables(out, "x", [band], found, "emt", "1")


_SCREENED = Path("LiO.cif")
_LEVELS = [
    {"dimension": d, "barrier_eV": 0.3, "low_eV": 0.1, "high_eV": None, "directions": [[[1, 0, 0]]]}
    for d in (1, 2, 3)
]

#: What the ranking looks at of a prediction.
_PREDICTION: dict[str, Any] = {
    "formula": "LiO", "ion": "Li", "level": 0.9, "threshold_eV": 0.65,
    "model": {"calibrated": True},
    "hops": [{"barrier_eV": 0.3, "outside": False, "blocked": False,
              "probability_below_threshold": 0.9}],
    "percolation": _LEVELS, "percolation_without_blocked": _LEVELS,
}  # fmt: skip


def _screen_file(folder: Path, random: Random) -> Path:
    store = screening.Store(folder)
    found = screening.Result("LiO.cif", "0" * 64, {"read": 0.1}, _PREDICTION, None)
    if not random.randrange(4):
        failure = screening.Failure("LiO.cif", "is bad", "lattice")
        found = replace(found, prediction=None, failure=failure)
    store.write(_SCREENED, found)
    damage_file(store.path(_SCREENED), random)
    return store.path(_SCREENED)


def _screened(path: Path) -> None:
    found = collect(screening.Store(path.parent), [_SCREENED])
    out = path.parent / "out"
    out.mkdir()
    write_tables(out, found.ranking, found.failures)


_CONFIG = at("run", odd_files("config.yaml"))

READERS = (
    Reader("run to resume", "files", _copy_of_run("config.yaml"), _resume, _CONFIG, 1.0),
    Reader("run to report", "files", _copy_of_run("config.yaml", "metrics.json", "predictions.csv"),
           _report, at("run", odd_files("predictions.csv")), 1.5),
    Reader("run to join", "files", _copy_of_run("config.yaml", "predictions.csv"), _members, {}),
    Reader("skipped records", "files", _copy_of_run("skipped.csv"), _skipped, {}, 0.3),
    Reader("table of predictions", "files", _predictions, _table, odd_files("a.csv"), 0.7),
    Reader("graph cache", "files", _shard, _cached,
           {what: _as_shard(make) for what, make in odd_files("x").items()}, 1.5),
    Reader("feature cache", "files", _feature_file, _measured, {}, 1.0),
    Reader("results of neb", "files", _neb_file, _neb, {}, 0.7),
    Reader("results of screen", "files", _screen_file, _screened, {}, 0.7),
)  # fmt: skip
