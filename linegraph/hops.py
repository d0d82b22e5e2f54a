"""From a crystal structure to the distinct hops of its mobile ion.

A hop leads from one site of the ion to another. Two hops are one when an operation of the space
group takes the ends of one to the ends of the other, in either order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .elements import SYMBOLS, Z_OF
from .errors import InputError
from .neighbors import Neighbors, radius_neighbors, shell_neighbors
from .primitive_cell import Crystal, primitive
from .reading import as_cell
from .sites import Sites, places_given, sites_of
from .structure import Cell

#: Ions that may be guessed to be the mobile one: those of the published barriers.
USUAL_IONS = ("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Zn", "Al")

#: Å; hops up to this length are looked for unless told otherwise.
MAX_LENGTH = 5.0

#: Å; a hop that passes another site of the ion nearer than this is left out.
CLEARANCE = 1.0

#: Å; hops are of one length within this.
_SAME_LENGTH = 0.05

#: Å; the longest hops and the coarsest symmetry that can be asked for.
_LARGEST_LENGTH, _LARGEST_SYMPREC = 20.0, 0.5

Triple = tuple[float, float, float]

#: ``(initial, final, *image)``: from site ``initial`` to site ``final`` of the cell ``image``.
Copy = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Hop:
    """One distinct hop.

    Sites ``0..N-1`` are the atoms of the given cell; those from ``N`` on are empty.

    Attributes:
        label: unique among hops found together: the kinds of both sites, and a number that counts
            the hops between these kinds by length (``Li1-Li1-2``).
        ion: its element.
        initial: site the ion leaves.
        final: site it goes to.
        image: cell of the final site, relative to the coordinates as given (not wrapped).
        length: Å.
        vector: from the initial to the final site, Cartesian, Å.
        start: fractional coordinates of the initial site.
        end: fractional coordinates of the final site, in its cell.
        copies: all hops of the given cell that symmetry makes of this one, itself included, each
            in one direction.
        empty: whether the initial and the final site are empty ones.
    """

    label: str
    ion: str
    initial: int
    final: int
    image: tuple[int, int, int]
    length: float
    vector: Triple
    start: Triple
    end: Triple
    copies: tuple[Copy, ...] = field(repr=False)
    empty: tuple[bool, bool] = (False, False)

    @property
    def multiplicity(self) -> int:
        """Number of equivalent hops per given cell; there and back is one hop."""
        return len(self.copies)


def hops(
    structure: Any,
    ion: str | None = None,
    max_length: float | None = None,
    empty_sites: ArrayLike | None = None,
    symprec: float = 1e-2,
    *,
    clearance: float = CLEARANCE,
) -> list[Hop]:
    """All symmetry-distinct hops between sites of one ion.

    A hop that passes another site on its way is the sum of two shorter ones and is left out. Both
    of these are hops or such sums themselves, so what the hops connect stays the same.

    Args:
        structure: anything :func:`linegraph.crystal_graph` takes; any cell of the crystal.
        ion: element of the mobile ion; without it the only one of :data:`USUAL_IONS` there is.
        max_length: longest hop, Å. By default 5 Å or, where no two sites are as near to each
            other, 1.1 times their shortest distance.
        empty_sites: ``[M, 3]`` fractional coordinates in the given cell of vacant sites that take
            part. One of each kind is enough, symmetry makes the others. With them, the ion need
            not be in the structure. :func:`linegraph.empty_sites.find_empty_sites` proposes some.
        symprec: tolerance for symmetry, Å.
        clearance: Å that other sites of the ion keep from the straight path; 0 keeps all hops.

    Returns:
        One or more hops, sorted by length.

    Raises:
        InputError: an unusable structure; no usual ion, or more than one, and none named; sites
            on top of each other; no hop within ``max_length``; a value out of range.
    """
    if max_length is not None:
        _check("max_length", max_length, _LARGEST_LENGTH)
    _check("symprec", symprec, _LARGEST_SYMPREC)
    if not clearance >= 0:
        raise InputError(f"expected 0 Å or more, got {clearance}", field="clearance")
    cell = as_cell(structure)
    empty = places_given(empty_sites)
    ion = mobile_ion(cell) if ion is None else ion
    if ion not in Z_OF:
        raise InputError(f"{ion!r} is no element", field="ion")
    if Z_OF[ion] not in cell.numbers and not len(empty):
        raise InputError(f"there is no {ion} in the structure, nor an empty site", field="ion")
    crystal = primitive(cell, symprec)
    sites = sites_of(cell, crystal, ion, empty)
    shortest = float(shell_neighbors(sites.cell, 1, 0.0).distance.min())
    longest = max(MAX_LENGTH, 1.1 * shortest) if max_length is None else max_length
    if shortest > longest + 1e-6:
        raise InputError(
            f"no hop of {ion} is so short: the nearest sites are {shortest:.3f} Å apart",
            field="max_length",
        )
    # A little further, so that rounding does not take one of two equivalent hops.
    pairs = radius_neighbors(sites.cell, longest + max(_SAME_LENGTH, 2 * symprec))
    copies = _in_given_cell(pairs, sites, crystal)
    found = []
    for orbit in _orbits(pairs, sites, crystal):
        entry = orbit[0]
        within = pairs.distance[entry] <= longest + 1e-6
        if within and not _passes_a_site(sites.cell, pairs, entry, clearance):
            found.append(_hop(cell, ion, sites, _shown_first(copies[orbit].reshape(-1, 5))))
    return _labelled(found, sites)


def mobile_ion(cell: Cell) -> str:
    """The one element of a structure that is among :data:`USUAL_IONS`.

    Raises:
        InputError: none of them is there, or several are.
    """
    there = [symbol for symbol in USUAL_IONS if Z_OF[symbol] in cell.numbers]
    if len(there) == 1:
        return there[0]
    if there:
        raise InputError(f"may be {' or '.join(there)}; name the mobile one", field="ion")
    elements = ", ".join(SYMBOLS[z - 1] for z in sorted(set(cell.numbers.tolist())))
    raise InputError(
        f"none of the usual ones ({', '.join(USUAL_IONS)}) is in the structure; name the mobile "
        f"one of {elements}",
        field="ion",
    )


def _check(field: str, value: float, largest: float) -> None:
    if not 0 < value <= largest:
        raise InputError(
            f"expected more than 0 and at most {largest:g} Å, got {value}", field=field
        )


def _orbits(pairs: Neighbors, sites: Sites, crystal: Crystal) -> Iterator[list[int]]:
    """Pairs of sites in groups that symmetry makes one hop, one way only, the shortest first."""
    rows = np.column_stack([pairs.center, pairs.neighbor, pairs.image])
    forward = np.flatnonzero(_is_forward(rows))
    number = {
        tuple(row): entry
        for entry, row in zip(forward.tolist(), rows[forward].tolist(), strict=True)
    }
    by_length = forward[np.argsort(pairs.distance[forward], kind="stable")]
    taken: set[int] = set()
    for entry in by_length.tolist():
        if entry in taken:
            continue
        i, j = pairs.center[entry], pairs.neighbor[entry]
        image = crystal.rotations @ pairs.image[entry] + sites.shifts[:, j] - sites.shifts[:, i]
        moved = _one_way(np.column_stack([sites.images[:, i], sites.images[:, j], image]))
        same = {number[row] for row in map(tuple, moved.tolist()) if row in number}
        orbit = [entry, *sorted(same - taken - {entry})]
        taken.update(orbit)
        yield orbit


def _is_forward(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of the two directions of a hop ``[K, 5]``: from lower to higher site, else image."""
    order = [*(rows[:, :2] @ [-1, 1], *rows[:, 2:].T)]
    forward = np.zeros(len(rows), dtype=bool)
    for key in reversed(order):
        forward = np.where(key == 0, forward, key > 0)
    return forward


def _one_way(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    back = np.column_stack([rows[:, 1], rows[:, 0], -rows[:, 2:]])
    return np.where(_is_forward(rows)[:, None], rows, back)


def _passes_a_site(cell: Cell, pairs: Neighbors, entry: int, clearance: float) -> bool:
    """Whether the straight path of a hop comes near to a site between its ends."""
    here = slice(*np.searchsorted(pairs.center, [pairs.center[entry], pairs.center[entry] + 1]))
    neighbors, images = pairs.neighbor[here], pairs.image[here]
    vectors = (cell.frac[neighbors] + images - cell.frac[pairs.center[entry]]) @ cell.lattice
    length = pairs.distance[entry]
    along = vectors[entry - here.start] / length
    aside = np.linalg.norm(vectors - np.outer(vectors @ along, along), axis=1)
    rest = np.linalg.norm(length * along - vectors, axis=1)
    # Only if both parts are shorter is the hop a sum of hops that are themselves looked at.
    parts = np.maximum(pairs.distance[here], rest) < length - _SAME_LENGTH
    return bool((parts & (aside < clearance)).any())


def _in_given_cell(pairs: Neighbors, sites: Sites, crystal: Crystal) -> NDArray[np.int64]:
    """What every pair of primitive sites is in the given cell, ``[K, cells, 5]``."""
    # Every primitive site has equally many copies: rows of them.
    starts = np.argsort(sites.copy_of, kind="stable").reshape(len(sites.cell), -1)[pairs.center]
    there = sites.offset[starts] + pairs.image[:, None]
    final = np.broadcast_to(pairs.neighbor[:, None], starts.shape)
    codes = crystal.codes(sites.copy_of, sites.offset)
    order = np.argsort(codes)
    ends = order[np.searchsorted(codes[order], crystal.codes(final, there))]
    image = crystal.in_periods(there - sites.offset[ends])
    ends_given = np.stack([sites.number[starts], sites.number[ends]], axis=-1)
    return np.concatenate([ends_given, image], axis=-1)


def _shown_first(copies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hops ``[K, 5]`` in one direction and in order, the simplest first."""
    rows = _one_way(copies)
    reach = np.abs(rows[:, 2:]).sum(axis=1)
    order = np.lexsort([*(-rows[:, :1:-1].T), reach, rows[:, 1], rows[:, 0]])
    return rows[order]


def _hop(cell: Cell, ion: str, sites: Sites, copies: NDArray[np.int64]) -> Hop:
    initial, final, *image = copies[0].tolist()
    start, end = (sites.frac[np.flatnonzero(sites.number == site)[0]] for site in (initial, final))
    end = end + image
    vector = (end - start) @ cell.lattice
    return Hop(
        "",
        ion,
        initial,
        final,
        (image[0], image[1], image[2]),
        float(np.linalg.norm(vector)),
        _triple(vector),
        _triple(start),
        _triple(end),
        tuple((i, j, a, b, c) for i, j, a, b, c in copies.tolist()),
        (initial >= len(cell), final >= len(cell)),
    )


def _triple(vector: NDArray[np.float64]) -> Triple:
    x, y, z = vector.tolist()
    return x, y, z


def _place(hop: Hop) -> tuple[float, int, Copy]:
    return round(hop.length, 4), hop.multiplicity, hop.copies[0]


def _labelled(found: list[Hop], sites: Sites) -> list[Hop]:
    """The hops by length, and with labels."""
    names: dict[int, str] = {}
    counts: Counter[str] = Counter()
    kinds = sites.kinds()[sites.copy_of].tolist()
    ion = found[0].ion
    for kind in kinds:
        if kind not in names:
            what = ion if kind < sites.occupied else "empty"
            counts[what] += 1
            names[kind] = f"{what}{counts[what]}"
    name_of = {site: names[kind] for site, kind in zip(sites.number.tolist(), kinds, strict=True)}
    labelled = []
    between: Counter[str] = Counter()
    for hop in sorted(found, key=_place):
        label = f"{name_of[hop.initial]}-{name_of[hop.final]}"
        between[label] += 1
        labelled.append(replace(hop, label=f"{label}-{between[label]}"))
    return labelled
