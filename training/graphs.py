"""Graphs of a data set, kept on disk under a fingerprint of the file and the settings."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import joblib
import torch
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import linegraph
from linegraph import CrystalGraph, InputError

from .bands import Band
from .files import replacing

#: Grows when graphs of the same structure and settings would come out differently.
GRAPH_VERSION = 2

#: Fields of a stored graph by what they have a row of. Triplets are left to the device that needs
#: them: they are many times the size and quickly made.
FIELDS = {
    "z": "atoms",
    "pos": "atoms",
    "edge_end": "atoms",
    "cell": "cells",
    "edge_index": "bonds",
    "edge_vec": "bonds",
    "multiplicity": "bonds",
}

#: Records for which starting a process pays.
RECORDS_PER_WORKER = 500


@dataclass(frozen=True, eq=False)
class GraphSet:
    """The graphs of a data set, record by record.

    Attributes:
        views: names of the views every record has.
        graphs: for every record its graph by view, without line graph.
        triplets: for every record the number of bond pairs over all its views.
    """

    views: tuple[str, ...]
    graphs: list[dict[str, CrystalGraph]]
    triplets: list[int]


def load_graphs(
    bands: Sequence[Band],
    fingerprint: str,
    views: tuple[str, ...],
    settings: dict[str, Any],
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> GraphSet:
    """Graphs of bands, from the cache if it holds exactly these, else built and cached.

    Args:
        bands: the records.
        fingerprint: of the file or folder they were read from.
        views: graphs wanted of every record.
        settings: arguments of :func:`linegraph.views`.
        cache: folder of the cache; :func:`default_cache` if None.
        workers: processes that build, 0 or 1 for none besides this one; by default one per 500
            records, at most one per core.
        progress: show a progress bar while building.

    Raises:
        InputError: a structure no graph can be made of; the message names the record.
    """
    key = _key([band.name for band in bands], fingerprint, views, settings)
    path = (default_cache() if cache is None else cache) / f"{key}.safetensors"
    found = _read(path, key, len(bands), views)
    if found is not None:
        return _graph_set(views, found)
    built = build_graphs(bands, views, settings, workers, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, key, built)
    except (OSError, InputError, SafetensorError) as error:
        warnings.warn(f"graphs were not cached: {error}", stacklevel=2)
    return built


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
    bands: Sequence[Band],
    views: tuple[str, ...],
    settings: dict[str, Any],
    workers: int | None = None,
    progress: bool = False,
) -> GraphSet:
    """Graphs of bands without the cache; arguments as of :func:`load_graphs`."""
    if workers is None:
        workers = max(1, min(os.cpu_count() or 1, len(bands) // RECORDS_PER_WORKER))
    jobs = (joblib.delayed(_graphs_of)(band, views, settings) for band in bands)
    results: Iterator[dict[str, CrystalGraph]] = joblib.Parallel(
        n_jobs=max(1, workers), return_as="generator"
    )(jobs)
    bar = track(
        results,
        description="Building graphs",
        total=len(bands),
        disable=not progress,
        transient=True,
    )
    return _graph_set(views, list(bar))


def _graph_set(views: tuple[str, ...], graphs: list[dict[str, CrystalGraph]]) -> GraphSet:
    return GraphSet(views, graphs, [sum(map(count_triplets, g.values())) for g in graphs])


def _graphs_of(
    band: Band, views: tuple[str, ...], settings: dict[str, Any]
) -> dict[str, CrystalGraph]:
    try:
        return linegraph.views(band.cell, views, line_graph=False, **settings)
    except InputError as error:
        raise error.at(record=repr(band.name)) from None


def _key(
    names: Sequence[str], fingerprint: str, views: tuple[str, ...], settings: dict[str, Any]
) -> str:
    text = json.dumps([GRAPH_VERSION, fingerprint, list(views), settings, list(names)])
    return hashlib.sha256(text.encode()).hexdigest()


def _join_dim(name: str) -> int:
    return 1 if name == "edge_index" else 0


def _write(path: Path, key: str, graphs: GraphSet) -> None:
    tensors: dict[str, Tensor] = {}
    for view in graphs.views:
        members = [g[view] for g in graphs.graphs]
        tensors[f"{view}.atoms"] = torch.tensor([g.num_nodes for g in members])
        tensors[f"{view}.bonds"] = torch.tensor([g.num_bonds for g in members])
        for name in FIELDS:
            rows = torch.cat([g[name] for g in members], _join_dim(name))
            tensors[f"{view}.{name}"] = rows.contiguous()
    metadata = {"key": key, "digest": _digest(tensors)}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata)


def _read(
    path: Path, key: str, records: int, views: tuple[str, ...]
) -> list[dict[str, CrystalGraph]] | None:
    """What a cache file holds, or None unless it is whole and the one asked for."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if metadata.get("key") != key or metadata.get("digest") != _digest(tensors):
        return None
    graphs: list[dict[str, CrystalGraph]] = [{} for _ in range(records)]
    for view in views:
        ends = {
            "atoms": [0, *tensors[f"{view}.atoms"].cumsum(0).tolist()],
            "bonds": [0, *tensors[f"{view}.bonds"].cumsum(0).tolist()],
            "cells": list(range(records + 1)),
        }
        for name, rows in FIELDS.items():
            for graph, (start, end) in zip(graphs, pairwise(ends[rows]), strict=True):
                piece = tensors[f"{view}.{name}"].narrow(_join_dim(name), start, end - start)
                graph.setdefault(view, CrystalGraph())[name] = piece
    return graphs


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
