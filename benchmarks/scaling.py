"""Workload ``scaling``: cost per atom of supercells from 100 to 50,000 atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import linegraph
from linegraph import Cell, CrystalGraph, LineGraph, crystal_graph

from .compare import Case, Measured, Options, Side, Workload
from .shapes import supercell
from .sides import available_memory

#: The size that the others are compared with, and the others, in atoms (about).
BASE, OTHERS = 1_000, (100, 300, 3_000, 10_000, 50_000)

#: Cubic cells along each axis: of fcc with 4 atoms, of garnet with 160.
REPEATS: dict[str, dict[int, tuple[int, int, int]]] = {
    "fcc": {
        100: (3, 3, 3),
        300: (4, 4, 5),
        1_000: (5, 5, 10),
        3_000: (9, 9, 9),
        10_000: (13, 14, 14),
        50_000: (20, 25, 25),
    },
    "garnet": {
        100: (1, 1, 1),
        300: (1, 1, 2),
        1_000: (1, 2, 3),
        3_000: (2, 3, 3),
        10_000: (4, 4, 4),
        50_000: (5, 8, 8),
    },
}

#: Width of the model unless another is asked for: with it 50,000 atoms fit 16 GiB.
HIDDEN = 32

#: Published width between the bases and the hidden features; no wider than those.
EMBEDDING = 64

#: Single precision, through eight layers.
TOLERANCE = 1e-4


def name_of(size: int) -> str:
    """The side of a size."""
    return f"{size:,} atoms"


def build(cell: Cell) -> CrystalGraph:
    """Crystal graph and line graph at default settings."""
    graph: CrystalGraph = LineGraph()(crystal_graph(cell))
    return graph


def cases(options: Options) -> Iterator[Case]:
    """Building, then inference, of each crystal; sizes are the sides."""
    sizes = (BASE, 100) if options.quick else (BASE, *OTHERS)
    for crystal in ("fcc",) if options.quick else tuple(REPEATS):
        cells = {name_of(size): supercell(crystal, REPEATS[crystal][size]) for size in sizes}
        yield _building(crystal, cells)
        yield _inference(crystal, cells, options)


def _building(crystal: str, cells: Mapping[str, Cell]) -> Case:
    return Case(
        name=f"{crystal}: build",
        sizes={},
        runs={name: partial(build, cell) for name, cell in cells.items()},
        difference=_per_atom_difference,
        tolerance=1e-12,
        work=_atoms(cells),
    )


def _inference(crystal: str, cells: Mapping[str, Cell], options: Options) -> Case:
    hidden = options.hidden or (8 if options.quick else HIDDEN)
    torch.manual_seed(0)
    narrow = min(hidden, EMBEDDING)
    model = linegraph.build_model("MODEL-3", hidden=hidden, embedding=narrow)
    model = model.to(options.device).eval()
    graphs = {name: crystal_graph(cell) for name, cell in cells.items()}
    per_atom = LineGraph()(graphs[name_of(BASE)].clone()).num_triplets / len(cells[name_of(BASE)])
    left_out = {}
    for name, cell in cells.items():
        wanted = len(cell) * per_atom * bytes_per_triplet(hidden)
        if wanted > available_memory(options.device):
            left_out[name] = f"needs {wanted / 2**30:.0f} GiB"

    def predict(graph: CrystalGraph) -> Any:
        with torch.inference_mode():
            return model(graph.to(options.device)).cpu()

    runs: dict[str, Callable[[], Any]] = {
        name: partial(predict, graph) for name, graph in graphs.items()
    }
    return Case(
        name=f"{crystal}: MODEL-3, hidden {hidden}",
        sizes={},
        runs=runs,
        # A supercell is the same crystal, and the model takes the mean over its atoms.
        difference=lambda one, other: float((one - other).abs().max()),
        tolerance=TOLERANCE,
        work=_atoms(cells),
        left_out=left_out,
    )


def bytes_per_triplet(hidden: int) -> int:
    """Memory that inference takes for one bond pair, at most, in single precision.

    Indices, the basis of the angle with its narrow layer, and at times five rows of full width.
    """
    return 4 * (40 + 3 * min(hidden, EMBEDDING) + 5 * hidden) + 64


def _atoms(cells: Mapping[str, Cell]) -> dict[str, float]:
    return {name: float(len(cell)) for name, cell in cells.items()}


def _per_atom_difference(one: CrystalGraph, other: CrystalGraph) -> float:
    """Of bonds and of triplets per atom, with their copies: the same in every supercell."""
    first, second = (
        np.array([int(graph["multiplicity"].sum()), graph.num_triplets]) / len(graph["z"])
        for graph in (one, other)
    )
    return float(np.abs(first - second).max())


def conclude(rows: Sequence[Measured]) -> list[str]:
    """The power of the number of atoms that the time grows with, and the largest against BASE."""
    found = []
    for row in rows:
        sizes = {n: row.case.work[n] for n in row.times if row.case.work[n] >= 0.9 * BASE}
        largest = max(sizes, key=sizes.__getitem__)
        if largest not in row.ratios:
            continue
        powers = [
            np.polyfit(np.log(list(sizes.values())), np.log(taken), 1)[0]
            for taken in zip(*(row.times[name][:2] for name in sizes), strict=True)
        ]
        change = [100 * (ratio - 1) for ratio in row.ratios[largest]]
        found.append(
            f"{row.case.name}: from {min(sizes.values()):,.0f} to {sizes[largest]:,.0f} atoms "
            f"time grows as N^{powers[0]:.2f} (CPU N^{powers[1]:.2f}); the cost per atom changes "
            f"by {change[0]:+.0f} % (CPU {change[1]:+.0f} %)."
        )
    return found


WORKLOAD = Workload(
    name="scaling",
    summary="supercells of fcc and garnet: cost per atom against that at about 1,000 atoms",
    sides=tuple(Side(name_of(size), "a supercell of about that size") for size in (BASE, *OTHERS)),
    cases=cases,
    unit="atom",
    devices=("cpu", "cuda"),
    conclude=conclude,
)
