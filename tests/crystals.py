"""Crystals to test on, and their neighbours and bonds counted one by one."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from linegraph.neighbors import SAME_SITE, Neighbors
from linegraph.structure import Cell

Bonds = Counter[tuple[int, ...]]


class Shells(NamedTuple):
    """Entries ``(i, j, *image)`` of whole shells, and how far the closest call was (Å)."""

    entries: set[tuple[int, ...]]
    margin: float


def every_neighbor(cell: Cell, radius: float) -> Neighbors:
    """All pairs of all images of all atoms, those within the radius kept; sorted."""
    lattice, frac = cell.lattice, cell.frac
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    apart = frac[None, :] - frac[:, None]
    most = np.ceil(radius / heights + np.abs(apart).max(axis=(0, 1))).astype(int)
    shifts = np.stack(
        np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    columns: list[NDArray[np.int64]] = []
    distances = []
    for i in range(len(cell)):
        distance = np.linalg.norm((apart[i][:, None] + shifts[None]) @ lattice, axis=2)
        j, n = np.nonzero((distance > SAME_SITE) & (distance <= radius))
        columns.append(np.column_stack([np.full_like(j, i), j, shifts[n]]))
        distances.append(distance[j, n])
    rows = np.concatenate(columns)
    return Neighbors(rows[:, 0], rows[:, 1], rows[:, 2:], np.concatenate(distances))


def shells(cell: Cell, k: int, shell_tol: float) -> Shells:
    """What :func:`linegraph.neighbors.shell_neighbors` should find, without any cleverness."""
    radius = 2.0
    while True:
        found = every_neighbor(cell, radius)
        own = [np.sort(found.distance[found.center == i]) for i in range(len(cell))]
        if all(len(d) > k and d[k - 1] + shell_tol + 0.1 < radius for d in own):
            break
        radius *= 1.5
    limit = np.array([d[k - 1] for d in own]) + shell_tol
    kept = found.where(found.distance <= limit[found.center])
    margin = np.abs(found.distance - limit[found.center]).min()
    margin = min(margin, np.abs(found.distance - SAME_SITE).min())
    rows = np.column_stack([kept.center, kept.neighbor, kept.image])
    return Shells({tuple(row) for row in rows.tolist()}, float(margin))


def literal_bonds(entries: set[tuple[int, ...]], canonical: bool) -> Bonds:
    """The edge list of the reference as a multiset of ``(source, target, *image)``."""
    if canonical:
        entries = {(i, j, *n) if i <= j else (j, i, *(-x for x in n)) for i, j, *n in entries}
    bonds: Bonds = Counter()
    for i, j, *n in entries:
        bonds[(i, j, *n)] += 1
        bonds[(j, i, *(-x for x in n))] += 1
    return bonds


def random_cell(seed: int, atoms: int | None = None) -> Cell:
    """A small skewed cell of ordinary density with atoms in and outside of it."""
    rng = np.random.default_rng(seed)
    count = atoms or int(rng.integers(1, 5))
    lattice = np.diag(rng.uniform(2.2, 4.0, 3) * count ** (1 / 3)) + rng.uniform(-0.8, 0.8, (3, 3))
    frac = rng.uniform(-1.5, 1.5, (count, 3))
    return Cell(lattice, frac, rng.integers(1, 104, count))


@st.composite
def any_cells(draw: st.DrawFn, max_atoms: int = 4) -> Cell:
    """Cells with many ties (positions on a grid) and without (anywhere), shapes included."""
    count = draw(st.integers(1, max_atoms))
    edge = st.sampled_from([2.0, 3.0, 3.5, 5.0]) | st.floats(2.0, 7.0)
    tilt = st.just(0.0) | st.sampled_from([-0.5, 0.5]) | st.floats(-1.5, 1.5)
    lattice = np.diag([draw(edge) for _ in range(3)])
    lattice[1, 0], lattice[2, 0], lattice[2, 1] = (draw(tilt) * lattice[0, 0] for _ in range(3))
    place = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.75]) | st.floats(-2.0, 2.0)
    frac = [[draw(place) for _ in range(3)] for _ in range(count)]
    return Cell(lattice, frac, draw(st.lists(st.integers(1, 103), min_size=count, max_size=count)))


def fcc(a: float = 4.05, z: int = 13) -> Cell:
    """The one-atom cell of a face-centred cubic metal."""
    return Cell([[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]], [[0.0, 0.0, 0.0]], [z])


def supercell(cell: Cell, times: tuple[int, int, int]) -> Cell:
    """Copies of a cell side by side; atom ``i`` of copy ``c`` is atom ``c * N + i``."""
    shifts = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    frac = ((cell.frac[None] + shifts) / times).reshape(-1, 3)
    return Cell(cell.lattice * np.array(times)[:, None], frac, np.tile(cell.numbers, len(shifts)))


def rotation(seed: int) -> NDArray[np.float64]:
    """A random proper rotation."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return np.asarray(q * np.sign(np.linalg.det(q)))
