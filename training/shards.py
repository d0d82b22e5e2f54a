"""Graphs of some records in one file, of which single ones are read as they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from os.path import isfile
from pathlib import Path
from typing import Any, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from linegraph import CrystalGraph, InputError
from linegraph.atomic_files import replacing
from linegraph.safe_reading import make_way

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

#: Fields that only the graphs of paths have.
OF_PATHS = {"features": "cells"}

Views = dict[str, CrystalGraph]


def fields_of(view: str) -> dict[str, str]:
    """Stored fields of the graphs of a view, by what they have a row of."""
    return {**FIELDS, **OF_PATHS} if view == "path" else FIELDS


class Records(Sequence[Views]):
    """A sequence of graphs that are read one by one."""

    def read(self, position: int) -> Views:
        """The graphs of a record, counted from the first.

        Raises:
            InputError: the file they are in has gone since it was checked.
        """
        raise AssertionError("a sequence says how it is read")

    @overload
    def __getitem__(self, position: int) -> Views: ...
    @overload
    def __getitem__(self, position: slice) -> list[Views]: ...
    def __getitem__(self, position: int | slice) -> Views | list[Views]:
        if isinstance(position, slice):
            return [self.read(i) for i in range(*position.indices(len(self)))]
        return self.read(range(len(self))[position])


class Shard(Records):
    """The graphs in a file, read record by record from the mapped file.

    Args:
        path: a file of :func:`write_shard`.
        views: names of the views every record has.
        ends: per view and kind of row (``atoms``, ``bonds``, ``cells``) where the rows of each
            record end, with a leading 0.
    """

    def __init__(self, path: Path, views: tuple[str, ...], ends: dict[str, list[int]]) -> None:
        self.path = path
        self.views = views
        self.ends = ends
        self._slices: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.ends[f"{self.views[0]}.atoms"]) - 1

    def read(self, position: int) -> Views:
        if self._slices is None:
            self._slices = self._open()
        return {view: self._graph(view, position) for view in self.views}

    def _open(self) -> dict[str, Any]:
        names = [f"{view}.{name}" for view in self.views for name in fields_of(view)]
        try:
            # A slice keeps its file open and mapped.
            file: Any = safe_open(self.path, framework="pt")
            return {name: file.get_slice(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise InputError(
                "this file of the graph cache was deleted or damaged during the run; start again "
                "(a training with --resume), then it is built anew",
                file=self.path,
            ) from error

    def _graph(self, view: str, position: int) -> CrystalGraph:
        assert self._slices is not None
        graph = CrystalGraph()
        for name, rows in fields_of(view).items():
            start, end = self.ends[f"{view}.{rows}"][position : position + 2]
            rows_of = self._slices[f"{view}.{name}"]
            graph[name] = rows_of[:, start:end] if name == "edge_index" else rows_of[start:end]
        return graph

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot go to another process, which opens it itself.
        return {**self.__dict__, "_slices": None}


def write_shard(
    path: Path, key: str, views: tuple[str, ...], graphs: Sequence[Views], triplets: list[int]
) -> None:
    """Write graphs to a file, or leave what is there.

    Args:
        path: the file.
        key: what :func:`read_shard` will ask for.
        views: names of the views.
        graphs: by view, record by record.
        triplets: bond pairs of every record.

    Raises:
        InputError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {"triplets": torch.tensor(triplets)}
    for view in views:
        members = [g[view] for g in graphs]
        tensors[f"{view}.atoms"] = torch.tensor([g.num_nodes for g in members])
        tensors[f"{view}.bonds"] = torch.tensor([g.num_bonds for g in members])
        for name in fields_of(view):
            rows = torch.cat([g[name] for g in members], 1 if name == "edge_index" else 0)
            tensors[f"{view}.{name}"] = rows.contiguous()
    make_way(path)
    with replacing(path) as partial:
        # Its own way to write leaves a file of its own beside when it is killed.
        partial.write_bytes(save(tensors, {"key": key, "digest": _digest(tensors)}))


def read_shard(path: Path, key: str, views: tuple[str, ...]) -> tuple[Shard, list[int]] | None:
    """The graphs in a file and their numbers of triplets.

    Every byte is checked here, once; the graphs themselves are read when they are asked for.

    Returns:
        None unless the file is whole and the one asked for.
    """
    if not isfile(path):
        return None  # a pipe would be waited for
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if metadata.get("key") != key or metadata.get("digest") != _digest(tensors):
        return None
    ends: dict[str, list[int]] = {}
    for view in views:
        for rows in ("atoms", "bonds"):
            ends[f"{view}.{rows}"] = [0, *tensors[f"{view}.{rows}"].cumsum(0).tolist()]
        ends[f"{view}.cells"] = list(range(len(tensors["triplets"]) + 1))
    return Shard(path, views, ends), tensors["triplets"].tolist()


class Joined(Records):
    """Several sequences of graphs as one."""

    def __init__(self, parts: Sequence[Sequence[Views]]) -> None:
        self.where = [
            (part, start)
            for part, (start, end) in zip(
                parts, pairwise(accumulate(map(len, parts), initial=0)), strict=True
            )
            for _ in range(end - start)
        ]

    def __len__(self) -> int:
        return len(self.where)

    def read(self, position: int) -> Views:
        part, start = self.where[position]
        return part[position - start]


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
