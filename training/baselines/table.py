"""The features of a data set, one row a record, kept on disk record by record."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from linegraph.atomic_files import remove_unfinished
from linegraph.ends import Ends
from linegraph.errors import InputError
from linegraph.path_features import PATH_FEATURES, measure_path
from linegraph.safe_reading import make_way, read_text
from linegraph.structure import Cell

from ..bands import Band
from ..files import write_json
from ..graphs import default_cache
from .structure import STRUCTURE_FEATURES, structure_features

#: Structures that make a process of their own worth while.
_FEWEST = 20

Measured = tuple[dict[str, float], dict[str, str]]


class Failure(NamedTuple):
    """A featurizer that gave no value for a record."""

    record: str
    featurizer: str
    message: str


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of some records.

    Attributes:
        names: ``f`` names: of the hop (:mod:`linegraph.path_features`), then of the initial
            structure (:mod:`training.baselines.structure`) where they were asked for.
        values: ``[n, f]`` float64; NaN where a feature does not exist or could not be had.
        failures: what could not be had, and why.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    failures: list[Failure]


def feature_table(
    bands: Sequence[Band],
    *,
    structure: bool = True,
    workers: int | None = None,
    progress: bool = True,
    cache: Path | None = None,
) -> FeatureTable:
    """Features of records, read from the cache or computed and written there one by one.

    Args:
        bands: the records.
        structure: also those of the initial structure, which take a second or more a record.
        workers: processes that compute, 0 or 1 for none besides this one; by default one a core.
        progress: show a progress bar.
        cache: folder of the cache; ``features`` in :func:`training.graphs.default_cache` if None.

    Raises:
        InputError: an optional package is missing.
    """
    folder = default_cache() / "features" if cache is None else cache
    kinds = ("path", "structure") if structure else ("path",)
    names = tuple(name for kind in kinds for name in _KINDS[kind].names)
    jobs = [_Job(band, kind, _key(band, kind)) for band in bands for kind in kinds]
    found: dict[str, Measured] = {}
    for job in jobs:
        known = _read(folder, job)
        if known is not None:
            found[job.key] = known
    missing = list({job.key: job for job in jobs if job.key not in found}.values())
    if missing:
        remove_unfinished(folder, shared=True)
    found |= _measure_all(missing, folder, workers, progress)
    values = np.full((len(bands), len(names)), np.nan)
    failures: list[Failure] = []
    for number, job in enumerate(jobs):
        features, failed = found[job.key]
        start = 0 if job.kind == "path" else len(PATH_FEATURES)
        row = [features[name] for name in _KINDS[job.kind].names]
        values[number // len(kinds), start : start + len(row)] = row
        failures += [Failure(job.band.name, *what) for what in failed.items()]
    # Where trees are to split on an infinite value, they cannot.
    values[~np.isfinite(values)] = np.nan
    return FeatureTable(names, values, failures)


class _Kind(NamedTuple):
    """A set of features that is computed and kept together.

    Attributes:
        names: in order.
        version: grows when the same structure would get other values.
        packages: whose versions matter.
        measure: features and failures of a record's structures.
    """

    names: tuple[str, ...]
    version: int
    packages: tuple[str, ...]
    measure: Callable[[Cell | Ends[Cell]], Measured]


def initial_structure(cell: Cell | Ends[Cell]) -> Cell:
    """The structure before the hop: the band without its images 1 to 4."""
    return cell.initial if isinstance(cell, Ends) else cell.without([1, 2, 3, 4])


def _of_initial(cell: Cell | Ends[Cell]) -> Measured:
    return structure_features(initial_structure(cell))


_KINDS = {
    "path": _Kind(PATH_FEATURES, 1, ("numpy", "scipy", "pymatgen"), measure_path),
    "structure": _Kind(
        STRUCTURE_FEATURES, 1, ("numpy", "scipy", "matminer", "pymatgen"), _of_initial
    ),
}


class _Job(NamedTuple):
    """One kind of features of one record."""

    band: Band
    kind: str
    key: str


def _key(band: Band, kind: str) -> str:
    """What a file of the cache is named by: all that its contents depend on."""
    how = _KINDS[kind]
    versions = []
    for package in how.packages:
        try:
            versions.append(importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            versions.append("")
    digest = hashlib.sha256(json.dumps([kind, how.version, how.names, versions]).encode())
    cells = band.structures if kind == "path" else (initial_structure(band.cell),)
    for cell in cells:
        for array in (cell.lattice, cell.frac, cell.numbers):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _measure_all(
    jobs: Sequence[_Job], folder: Path, workers: int | None, progress: bool
) -> dict[str, Measured]:
    if not jobs:
        return {}
    # A process takes longer to start than path features to compute.
    slow = sum(job.kind == "structure" for job in jobs)
    count = max(1, min(os.cpu_count() or 1, slow // _FEWEST) if workers is None else workers)
    # The longest first, so that at the end no process waits for another one.
    jobs = sorted(jobs, key=lambda job: (job.kind == "path", -len(job.band.structures[0])))
    results: Iterator[tuple[Measured, str]] = joblib.Parallel(
        n_jobs=count, return_as="generator", batch_size=1
    )(joblib.delayed(_measure)(job, folder) for job in jobs)
    found: dict[str, Measured] = {}
    problem = ""
    with Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("Computing features", total=len(jobs))
        for job, (measured, unwritten) in zip(jobs, results, strict=True):
            found[job.key] = measured
            problem = problem or unwritten
            bar.update(task, advance=1)
    if problem:
        warnings.warn(f"features were not cached: {problem}", stacklevel=3)
    return found


def _measure(job: _Job, folder: Path) -> tuple[Measured, str]:
    """Compute features and write them; also what prevented the writing."""
    values, failures = _KINDS[job.kind].measure(job.band.cell)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = {name: x if math.isfinite(x) else None for name, x in values.items()}
        make_way(_path(folder, job))
        content = {"values": known, "failures": failures}
        write_json(_path(folder, job), {**content, "sha256": _digest(content)})
    except (OSError, InputError) as error:
        return (values, failures), str(error)
    return (values, failures), ""


def _read(folder: Path, job: _Job) -> Measured | None:
    """What an earlier run wrote; None where there is no such file or it is none of ours."""
    try:
        content: dict[str, Any] = json.loads(read_text(_path(folder, job)))
        if content.pop("sha256") != _digest(content):
            return None
        known, failures = content["values"], content["failures"]
        values = {
            name: math.nan if known[name] is None else float(known[name])
            for name in _KINDS[job.kind].names
        }
        return values, {str(name): str(message) for name, message in failures.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _digest(content: dict[str, Any]) -> str:
    """A digit that is flipped would be another feature."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _path(folder: Path, job: _Job) -> Path:
    return folder / f"{job.kind}-{job.key}.json"
