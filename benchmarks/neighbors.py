"""Compare periodic neighbour-list libraries on our shapes, and time our own graph building.

    python -m benchmarks.neighbors [--json FILE] [--data FILE] [--largest ATOMS] [--seconds S]

Every library must find the same pairs before any is timed. Then all run in turn (A B C D A B
C D ...), so that what else the machine does meets all of them alike, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph import SHELL_TOL, Cell, InputError, LineGraph, crystal_graph
from linegraph.elements import SYMBOLS
from linegraph.neighbors import shell_neighbors

from .report import machine, machine_line, markdown_table
from .shapes import PUBLISHED, Shape, published_shapes, synthetic_shapes
from .timing import Timing, time_in_turn

#: Cutoff radii, Å.
RADII = (5.0, 8.0)

#: The library all others are compared with: the one that linegraph uses.
BASE = "vesin"

#: ASE is left out above so many atoms: it takes half a second and more for 1,000 already.
ASE_LARGEST = 2000

#: ``i [M]``, ``j [M]``, ``shift [M, 3]`` and ``distance [M]`` (Å) of all pairs within a radius.
Pairs = Sequence[NDArray[Any]]
Search = Callable[[float], Pairs]


def search_pymatgen(cell: Cell) -> Search:
    from pymatgen.core import Structure

    structure = Structure(cell.lattice, [SYMBOLS[z - 1] for z in cell.numbers], cell.frac)
    return lambda radius: structure.get_neighbor_list(radius)


def search_ase(cell: Cell) -> Search:
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(cell.numbers, positions=cell.cart, cell=cell.lattice, pbc=True)
    return partial(neighbor_list, "ijSd", atoms)


def search_matscipy(cell: Cell) -> Search:
    from matscipy.neighbours import neighbour_list

    box = {"positions": cell.cart, "cell": cell.lattice, "pbc": np.ones(3, dtype=bool)}
    return lambda radius: neighbour_list("ijSd", cutoff=radius, **box)


def search_vesin(cell: Cell) -> Search:
    from vesin import NeighborList

    box = {"points": cell.cart, "box": cell.lattice, "periodic": True}
    return lambda radius: NeighborList(cutoff=radius, full_list=True).compute(
        **box, quantities="ijSd"
    )


#: The libraries compared, in the order in which they take turns.
LIBRARIES: dict[str, Callable[[Cell], Search]] = {
    "pymatgen": search_pymatgen,
    "ase": search_ase,
    "matscipy": search_matscipy,
    BASE: search_vesin,
}


def sorted_pairs(pairs: Pairs) -> NDArray[np.int64]:
    """Rows ``(i, j, shift)`` ``[M, 5]`` in an order that depends on the set alone."""
    rows = np.column_stack(pairs[:3]).astype(np.int64)
    return rows[np.lexsort(rows.T[::-1])]


@dataclass
class Comparison:
    """One structure at one radius: what each library took, or why it did not run."""

    structure: str
    atoms: int
    radius: float
    pairs: int
    differing: list[str]
    times: dict[str, Timing]
    left_out: dict[str, str]


def compare(shape: Shape, radius: float, seconds: float) -> Comparison:
    """Check that all libraries find the same pairs, then time them in turn."""
    searches: dict[str, Callable[[], Pairs]] = {}
    left_out: dict[str, str] = {}
    for name, prepare in LIBRARIES.items():
        if name == "ase" and len(shape.cell) > ASE_LARGEST:
            left_out[name] = f"over {ASE_LARGEST} atoms"
            continue
        try:
            search = prepare(shape.cell)
        except ImportError:
            left_out[name] = "not installed"
            continue
        searches[name] = partial(search, radius)
    expected = sorted_pairs(searches[BASE]())
    differing = [
        name
        for name, find in searches.items()
        if not np.array_equal(sorted_pairs(find()), expected)
    ]
    times = time_in_turn(dict(searches), seconds)
    return Comparison(
        shape.name, len(shape.cell), radius, len(expected), differing, times, left_out
    )


@dataclass
class Build:
    """What building the graph of one structure took, step by step."""

    structure: str
    atoms: int
    bonds: int
    triplets: int
    times: dict[str, Timing]


def time_building(shape: Shape, seconds: float) -> Build:
    """Time our own steps; ``crystal_graph`` contains ``shell_neighbors``, LineGraph neither."""
    graph, add_lines = crystal_graph(shape.cell), LineGraph()
    sides: dict[str, Callable[[], object]] = {
        "shell_neighbors": lambda: shell_neighbors(shape.cell, 12, SHELL_TOL),
        "crystal_graph": lambda: crystal_graph(shape.cell),
        "LineGraph": lambda: add_lines(graph),
    }
    times = time_in_turn(sides, seconds)
    triplets = add_lines(graph).num_triplets
    return Build(shape.name, len(shape.cell), graph.num_bonds, triplets, times)


def comparison_tables(rows: list[Comparison]) -> str:
    """Two tables, ratios first; in a cell wall time, and CPU time in brackets."""
    others = [name for name in LIBRARIES if name != BASE]
    head = ["structure", "atoms", "Å", "pairs", "all agree"]
    ratios, times = [], []
    for row in rows:
        base = row.times[BASE]
        start = [
            row.structure,
            row.atoms,
            f"{row.radius:g}",
            row.pairs,
            "not " + ", ".join(row.differing) if row.differing else "yes",
        ]
        show = {
            name: f"{t.wall / base.wall:.2f} ({t.cpu / base.cpu:.2f})"
            for name, t in row.times.items()
        }
        ratios.append([*start, *(show.get(name, row.left_out.get(name, "")) for name in others)])
        spent = {name: f"{t.wall:.3f} ({t.cpu:.3f})" for name, t in row.times.items()}
        times.append(
            [*start[:3], *(spent.get(name, row.left_out.get(name, "")) for name in LIBRARIES)]
        )
    return "\n\n".join(
        [
            f"Time of each library / {BASE}: wall (CPU of all threads)",
            markdown_table([*head, *(f"{name} / {BASE}" for name in others)], ratios),
            "Milliseconds: wall (CPU of all threads)",
            markdown_table([*head[:3], *LIBRARIES], times),
        ]
    )


def building_table(rows: list[Build]) -> str:
    """One line per step and structure; CPU time per atom first, which other jobs disturb least."""
    lines = [
        [
            step,
            row.structure,
            row.atoms,
            f"{row.times[step].cpu / row.atoms * 1e3:.2f}",
            f"{row.times[step].wall:.3f} ({row.times[step].cpu:.3f})",
            f"{row.bonds / row.atoms:.1f}",
            f"{row.triplets / row.atoms:.0f}",
        ]
        for step in rows[0].times
        for row in rows
    ]
    head = ["step", "structure", "atoms", "CPU ms / 1,000 atoms", "ms: wall (CPU)"]
    return "Building our graphs\n\n" + markdown_table(
        [*head, "bonds / atom", "triplets / atom"], lines
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, print its tables, and end with status 1 if libraries disagree."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.neighbors", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there too")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="bands to include (default: the published ones)"
    )
    parser.add_argument("--largest", type=int, default=20_000, metavar="ATOMS", help="skip larger")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="time spent on each structure and radius"
    )
    options = parser.parse_args(arguments)
    shapes = synthetic_shapes(options.largest)
    try:
        if options.data or PUBLISHED.exists():
            shapes += published_shapes(options.data or PUBLISHED, options.largest)
    except InputError as error:
        parser.error(str(error))
    if not shapes:
        parser.error(f"no structure has at most {options.largest} atoms")
    host = machine(LIBRARIES)
    print(machine_line(host))
    compared = [compare(shape, radius, options.seconds) for shape in shapes for radius in RADII]
    print("", comparison_tables(compared), sep="\n", flush=True)
    built = [time_building(shape, options.seconds) for shape in shapes]
    print("", building_table(built), sep="\n")
    if options.json:
        numbers = {
            "machine": host,
            "libraries": [_plain(row) for row in compared],
            "building": [_plain(row) for row in built],
        }
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")
    if any(row.differing for row in compared):
        # A pair exactly at the radius is in for some libraries and out for others.
        raise SystemExit("libraries disagree about the pairs: their times cannot be compared")


def _plain(row: Comparison | Build) -> dict[str, Any]:
    """A row as JSON can hold it, timings as ``{"wall": ms, "cpu": ms}``."""
    times = {name: timing._asdict() for name, timing in row.times.items()}
    return {**asdict(row), "times": times}


if __name__ == "__main__":
    main()
