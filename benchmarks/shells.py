"""How far apart neighbour shells are in real bands, and what ``shell_tol`` does to the graph.

    python -m benchmarks.shells [--data FILE]

Every atom keeps the neighbours up to its 12th nearest one and ``shell_tol`` further. Where the
next neighbour is nearer to that limit than the rounding of the file, the graph is an accident of
the rounding; this measures how often.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linegraph import SHELL_TOL, Cell, InputError, LineGraph, crystal_graph
from linegraph.crystal import distinct_bonds
from linegraph.neighbors import Neighbors, shell_neighbors
from linegraph.transforms import line_weights
from training.read import read_bands

from .report import markdown_table
from .shapes import PUBLISHED

#: The neighbour whose shell is the last one kept.
K = 12

#: Upper ends of the histogram's bins, Å. Below the first, distances are equal in float64.
BIN_ENDS = 10.0 ** np.arange(-12, 0)

#: Shell widths compared, Å.
TOLERANCES = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)

#: Decimals to which fractional coordinates are rounded to see whether the graph survives.
DECIMALS = (6, 5, 4)


def beyond_kth(cell: Cell, width: float) -> tuple[Neighbors, NDArray[np.float64]]:
    """All neighbours up to ``width`` (Å) beyond the 12th, and how far beyond it each one is.

    The excess ``[M]`` is at most 0 for the nearest 12.
    """
    found = shell_neighbors(cell, K, width)
    order = np.lexsort((found.distance, found.center))
    start = np.searchsorted(found.center, np.arange(len(cell)))
    kth = found.distance[order[start + K - 1]]
    return found, found.distance - kth[found.center]


def gaps(cell: Cell) -> tuple[NDArray[np.float64], int]:
    """Per atom the gap (Å) from the 12th neighbour to the next larger distance.

    Returns:
        gap: ``[N]``; infinite where it is beyond the last bin. Distances less than the first bin
            apart are equal.
        tied: number of atoms whose 13th neighbour is as far as the 12th.
    """
    found, excess = beyond_kth(cell, float(BIN_ENDS[-1]))
    gap = np.full(len(cell), np.inf)
    larger = excess > BIN_ENDS[0]
    np.minimum.at(gap, found.center[larger], excess[larger])
    level = np.bincount(found.center[~larger], minlength=len(cell))
    return gap, int((level > K).sum())


def changed_entries(one: Cell, other: Cell) -> NDArray[np.int64]:
    """Neighbour entries ``(i, j, image)`` in only one of two structures of the same atoms.

    Returns:
        ``[len(TOLERANCES)]`` counts, one for each of :data:`TOLERANCES`.
    """
    lists = [beyond_kth(cell, TOLERANCES[-1]) for cell in (one, other)]
    rows = np.concatenate([np.column_stack([f.center, f.neighbor, f.image]) for f, _ in lists])
    entries, which = np.unique(rows, axis=0, return_inverse=True)
    excess = np.full((2, len(entries)), np.inf)
    first = len(lists[0][1])
    excess[0, which[:first]] = lists[0][1]
    excess[1, which[first:]] = lists[1][1]
    return np.array([((excess[0] <= tol) != (excess[1] <= tol)).sum() for tol in TOLERANCES])


def gap_table(cells: list[Cell]) -> str:
    """Histogram of :func:`gaps` over all atoms."""
    found = [gaps(cell) for cell in cells]
    gap = np.concatenate([values for values, _ in found])
    inside = np.histogram(gap, BIN_ENDS)[0].tolist()
    # Distances that have nothing to do with each other lie evenly; from the bin above the
    # default width, how many of them to expect in a bin of another width.
    density = inside[int(np.searchsorted(BIN_ENDS, SHELL_TOL * 1.01)) - 1] / (9 * SHELL_TOL)
    widths = np.diff(BIN_ENDS).tolist()
    rows = [
        [f"{low:.0e} to {high:.0e}", count, _percent(count, len(gap)), f"{density * width:.1f}"]
        for low, high, count, width in zip(BIN_ENDS, BIN_ENDS[1:], inside, widths, strict=False)
    ]
    over = len(gap) - sum(inside)
    rows.append([f"over {BIN_ENDS[-1]:.0e}", over, _percent(over, len(gap)), ""])
    tied = sum(count for _, count in found)
    return (
        "Gap from the 12th neighbour to the next larger distance\n\n"
        + markdown_table(["gap, Å", "sites", "of all", "if evenly spread"], rows)
        + f"\n\n13th neighbour as far as the 12th (within {BIN_ENDS[0]:.0e} Å): "
        f"{tied} of {len(gap)} sites ({_percent(tied, len(gap))})"
    )


def tolerance_table(cells: list[Cell]) -> str:
    """Bonds at each shell width, and how many the width before did not have."""
    entries, distinct, grown = (np.zeros(len(TOLERANCES), dtype=np.int64) for _ in range(3))
    for cell in cells:
        found, excess = beyond_kth(cell, TOLERANCES[-1])
        kept = [found.where(excess <= tol) for tol in TOLERANCES]
        count = np.array([len(k.center) for k in kept])
        entries += count
        distinct += [len(distinct_bonds(k, canonical=False)[0]) for k in kept]
        grown += np.diff(count, prepend=count[0]) > 0
    more = np.diff(distinct, prepend=distinct[0])
    rows = [
        [f"{tol:.0e}", all_, 2 * literal, new, _percent(new, int(distinct[0])), structures]
        for tol, all_, literal, new, structures in zip(
            TOLERANCES,
            distinct.tolist(),
            entries.tolist(),
            more.tolist(),
            grown.tolist(),
            strict=True,
        )
    ]
    head = ["shell_tol, Å", "distinct bonds", "literal bonds", "new distinct", "of all"]
    return "Bonds by shell_tol (new: not there at the width before)\n\n" + markdown_table(
        [*head, "structures changed"], rows
    )


def rounding_table(cells: list[Cell]) -> str:
    """Share of neighbour entries that change when a file keeps fewer decimals."""
    total = np.zeros(len(TOLERANCES), dtype=np.int64)
    for cell in cells:
        excess = beyond_kth(cell, TOLERANCES[-1])[1]
        total += [int((excess <= tol).sum()) for tol in TOLERANCES]
    rows = []
    for decimals in DECIMALS:
        changed, structures = np.zeros((2, len(TOLERANCES)), dtype=np.int64)
        for cell in cells:
            rounded = Cell(cell.lattice, np.round(cell.frac, decimals), cell.numbers)
            count = changed_entries(cell, rounded)
            changed += count
            structures += count > 0
        shares = [
            f"{_percent(n, of)} ({where})"
            for n, of, where in zip(
                changed.tolist(), total.tolist(), structures.tolist(), strict=True
            )
        ]
        rows.append([f"{decimals} decimals", *shares])
    head = ["fractional coordinates", *(f"{tol:.0e}" for tol in TOLERANCES)]
    return (
        "Neighbour entries that change when coordinates are rounded, by shell_tol in Å "
        "(structures concerned)\n\n" + markdown_table(head, rows)
    )


def totals(cells: list[Cell]) -> dict[str, int]:
    """Sizes of all graphs together at the default shell width: as stored, and as they stand for."""
    sums = dict.fromkeys(
        ("atoms", "distinct bonds", "distinct triplets", "literal bonds", "literal triplets",
         "canonical bonds", "canonical triplets"), 0
    )  # fmt: skip
    for cell in cells:
        graph = LineGraph()(crystal_graph(cell))
        sums["atoms"] += len(cell)
        sums["distinct bonds"] += graph.num_bonds
        sums["distinct triplets"] += graph.num_triplets
        for name, canonical in (("literal", False), ("canonical", True)):
            copies = crystal_graph(cell, canonical=canonical)["multiplicity"]
            sums[f"{name} bonds"] += int(copies.sum())
            sums[f"{name} triplets"] += int(line_weights(copies, graph["line_index"])[1].sum())
    return sums


def totals_table(sums: dict[str, int]) -> str:
    """:func:`totals`, per atom and as a multiple of what is stored."""
    rows = [
        [
            f"{flavour} {kind}",
            f"{sums[f'{flavour} {kind}'] / sums[f'distinct {kind}']:.2f}",
            sums[f"{flavour} {kind}"],
            f"{sums[f'{flavour} {kind}'] / sums['atoms']:.1f}",
        ]
        for kind in ("bonds", "triplets")
        for flavour in ("distinct", "canonical", "literal")
    ]
    return f"Totals at shell_tol = {SHELL_TOL:.0e} Å, {sums['atoms']} atoms\n\n" + markdown_table(
        ["", "/ distinct", "number", "per atom"], rows
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read bands, measure, print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.shells", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=PUBLISHED,
        metavar="FILE",
        help="bands in the published format, .json or .json.gz (default: the published ones)",
    )
    options = parser.parse_args(arguments)
    try:
        cells = [cell for band in read_bands(options.data).bands for cell in band.structures]
    except InputError as error:
        parser.error(str(error))
    print(f"{options.data.name}: {len(cells)} bands, {sum(map(len, cells))} atoms")
    for table in (gap_table, tolerance_table, rounding_table):
        print("", table(cells), sep="\n", flush=True)
    print("", totals_table(totals(cells)), sep="\n")


if __name__ == "__main__":
    main()
