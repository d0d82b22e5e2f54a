"""Graphs of a data set, kept on disk under a fingerprint of the file and the settings."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import joblib
from rich.progress import Progress

import linegraph
from linegraph import CrystalGraph, InputError
from linegraph.atomic_files import remove_unfinished

from .shards import Joined, Views, read_shard, write_shard

#: Grows when graphs of the same structure and settings would come out differently.
GRAPH_VERSION = 5

#: Records in one file of the cache: what one process builds at a time, and at most what is built
#: again after an interruption.
SHARD = 1024


class Record(Protocol):
    """Anything with a name and a structure."""

    @property
    def name(self) -> str: ...
    @property
    def cell(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class GraphSet:
    """The graphs of a data set, record by record.

    Attributes:
        views: names of the views every record has.
        graphs: for every record its graph by view, without line graph: in memory, or read from
            the cache each time one is asked for.
        triplets: for every record the number of bond pairs over all its views.
    """

    views: tuple[str, ...]
    graphs: Sequence[Views]
    triplets: list[int]


def load_graphs(
    records: Sequence[Record],
    fingerprint: str,
    views: tuple[str, ...],
    settings: dict[str, Any],
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> GraphSet:
    """Graphs of records, from the cache if it holds exactly these, else built and cached.

    They stay on disk, in files of 1,024 records each: in memory are those of a batch.

    Args:
        records: bands, or crystals.
        fingerprint: of the file or folder they were read from.
        views: graphs wanted of every record.
        settings: arguments of :func:`linegraph.views`.
        cache: folder of the cache; :func:`default_cache` if None.
        workers: processes that build, 0 or 1 for none besides this one; by default one per core,
            at most one per file.
        progress: show a progress bar while building.

    Raises:
        InputError: a structure no graph can be made of; the message names the record.
    """
    folder = default_cache() if cache is None else cache
    jobs: list[_Job] = []
    for start in range(0, len(records), SHARD):
        members = records[start : start + SHARD]
        key = _key([record.name for record in members], fingerprint, views, settings)
        jobs.append(_Job(members, folder / f"{key}.safetensors", key))
    parts = [_read(job, views) for job in jobs]
    missing = [i for i, part in enumerate(parts) if part is None]
    if missing:
        remove_unfinished(folder, shared=True)
        built = _build_all([jobs[i] for i in missing], views, settings, workers, progress)
        for i, part in zip(missing, built, strict=True):
            parts[i] = part
    whole = [part for part in parts if part is not None]
    return GraphSet(
        views,
        Joined([part.graphs for part in whole]),
        list(chain.from_iterable(part.triplets for part in whole)),
    )


def default_cache() -> Path:
    """``$LINEGRAPH_CACHE``, or ``linegraph`` in the user's cache folder."""
    if folder := os.environ.get("LINEGRAPH_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linegraph"


def count_triplets(graph: CrystalGraph) -> int:
    """Bond pairs that the graph's line graph has, without making it."""
    source, target = graph["edge_index"]
    incoming = graph.edge_ptr.diff()
    alone = (source == target) & (graph["multiplicity"] < 2)
    return int(incoming[source].sum() - alone.sum())


def build_graphs(
    records: Sequence[Record], views: tuple[str, ...], settings: dict[str, Any]
) -> GraphSet:
    """Graphs of records in memory, without the cache; arguments as of :func:`load_graphs`."""
    graphs = [_graphs_of(record, views, settings) for record in records]
    return GraphSet(views, graphs, [sum(map(count_triplets, g.values())) for g in graphs])


@dataclass(frozen=True)
class _Job:
    """Records that share a file of the cache."""

    records: Sequence[Record]
    path: Path
    key: str


def _read(job: _Job, views: tuple[str, ...]) -> GraphSet | None:
    found = read_shard(job.path, job.key, views)
    return None if found is None else GraphSet(views, *found)


def _build_all(
    jobs: Sequence[_Job],
    views: tuple[str, ...],
    settings: dict[str, Any],
    workers: int | None,
    progress: bool,
) -> Iterator[GraphSet]:
    if workers is None:
        workers = min(os.cpu_count() or 1, len(jobs))
    results = joblib.Parallel(n_jobs=max(1, workers), return_as="generator")(
        joblib.delayed(_build)(job, views, settings) for job in jobs
    )
    total = sum(len(job.records) for job in jobs)
    with Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("Building graphs", total=total)
        for job, (built, problem) in zip(jobs, results, strict=True):
            if problem:
                warnings.warn(f"graphs were not cached: {problem}", stacklevel=4)
            bar.update(task, advance=len(job.records))
            graphs = built or _read(job, views)
            yield graphs or build_graphs(job.records, views, settings)


def _build(
    job: _Job, views: tuple[str, ...], settings: dict[str, Any]
) -> tuple[GraphSet | None, str]:
    """Build the graphs of a file and write it; the graphs come back only if that fails."""
    built = build_graphs(job.records, views, settings)
    try:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(job.path, job.key, views, built.graphs, built.triplets)
    except (OSError, InputError) as error:
        return built, str(error)
    return None, ""


def _graphs_of(record: Record, views: tuple[str, ...], settings: dict[str, Any]) -> Views:
    try:
        return linegraph.views(record.cell, views, line_graph=False, **settings)
    except InputError as error:
        raise error.at(record=repr(record.name)) from None


def _key(
    names: Sequence[str], fingerprint: str, views: tuple[str, ...], settings: dict[str, Any]
) -> str:
    text = json.dumps([GRAPH_VERSION, fingerprint, list(views), settings, list(names)])
    return hashlib.sha256(text.encode()).hexdigest()
