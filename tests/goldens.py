"""Numbers that the reference implementation produced, and graphs made of them."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import linegraph
from linegraph.crystal import graph_of
from linegraph.structure import Cell

SHARED = Path(__file__).resolve().parents[2] / "shared"
GOLDENS = SHARED / "goldens"

needs_goldens = pytest.mark.skipif(
    not GOLDENS.is_dir(), reason="the reference's numbers (../shared/goldens) are not here"
)
needs_data = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason="the published records (../shared/data) are not here"
)


def records() -> list[str]:
    return sorted(path.stem.removeprefix("record_") for path in GOLDENS.glob("record_*.npz"))


def load(name: str) -> dict[str, Any]:
    with np.load(GOLDENS / f"{name}.npz") as arrays:
        return dict(arrays)


def record_cell(record: dict[str, Any], part: str = "") -> Cell:
    """The structure of a record: the band, or ``part`` = "ini_" or "fin_"."""
    return Cell(record[f"{part}lattice"], record[f"{part}frac"], record[f"{part}Z"])


def record_graph(record: dict[str, Any], prefix: str) -> linegraph.CrystalGraph:
    """Distinct bonds of a record's own edge list, with float64 vectors as recorded."""
    cell = record_cell(record, prefix if prefix in ("ini_", "fin_") else "")
    if prefix == "sub_":
        nodes = record["sub_nodes"]
        cell = Cell(cell.lattice, cell.frac[nodes], cell.numbers[nodes])
    rows = np.column_stack(
        [record[f"{prefix}v"], record[f"{prefix}u"], -record[f"{prefix}image"]]
    ).astype(np.int64)
    bonds, first, copies = np.unique(rows, axis=0, return_index=True, return_counts=True)
    graph = graph_of(cell, bonds, copies, dtype=torch.float64)
    graph.edge_vec = torch.from_numpy(record[f"{prefix}r"][first])
    return linegraph.LineGraph()(graph)


def bond_counts(graph: linegraph.CrystalGraph, cell: Cell) -> Counter[tuple[int, ...]]:
    """Copies of every bond by (source, target, image), from a graph's vectors."""
    source, target = graph.edge_index.numpy()
    shift = graph.edge_vec.double().numpy() @ np.linalg.inv(graph.cell[0].double().numpy())
    image = np.rint(shift - cell.frac[target] + cell.frac[source]).astype(int)
    keys = np.column_stack([source, target, image]).tolist()
    copies = graph.multiplicity.tolist()
    return Counter({tuple(key): n for key, n in zip(keys, copies, strict=True)})


def golden_counts(record: dict[str, Any], prefix: str) -> Counter[tuple[int, ...]]:
    rows = np.column_stack([record[f"{prefix}u"], record[f"{prefix}v"], record[f"{prefix}image"]])
    return Counter(map(tuple, rows.tolist()))


def state_dict(model: str) -> dict[str, Tensor]:
    """The weights that the goldens were made with: a hash of name and position, float64."""
    names = json.loads((GOLDENS / "state_dict_names.json").read_text())[model]["state_dict"]
    return {name: _values(name, tuple(shape)) for name, shape, _ in names}


def uniform(name: str, count: int) -> np.ndarray:
    """Numbers in (-1, 1), the same wherever they are made."""
    with np.errstate(over="ignore"):
        seed = np.uint32((0x9E3779B9 * (zlib.crc32(name.encode()) + 1)) & 0xFFFFFFFF)
        x = np.arange(count, dtype=np.uint32) + seed
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return 2.0 * (x.astype(np.float64) + 0.5) / 2.0**32 - 1.0


def _values(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("centers"):
        low = 0.0 if name.startswith("edge") else -1.0
        return torch.linspace(low, 8.0 if low == 0.0 else 1.0, shape[0], dtype=torch.float64)
    u = torch.from_numpy(uniform(name, int(np.prod(shape)))).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if last == "weight":
        return u * (3.0 / shape[1]) ** 0.5 if len(shape) == 2 else 1.0 + 0.1 * u
    return 1.0 + 0.3 * u if last == "running_var" else 0.1 * u
