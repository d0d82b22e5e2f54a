"""The lowest barrier at which hops lead through the crystal in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from math import gcd

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .hops import Copy, Hop

#: A lattice direction [uvw] of the given cell.
Direction = tuple[int, int, int]

_AXES: tuple[Direction, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_ZERO: Direction = (0, 0, 0)

#: Planes with larger indices get any two of their directions instead of the simplest.
_LARGEST_INDEX = 12


@dataclass(frozen=True)
class Percolation:
    """How easily an ion gets through the crystal in a number of dimensions.

    Attributes:
        dimension: 1, 2 or 3.
        barrier: lowest barrier (eV) at which the hops up to it connect a site to its periodic
            images in so many independent directions; None if no barrier is enough.
        directions: for each network of sites connected like this at ``barrier``, independent
            lattice directions [uvw] it extends in; networks with the same ones are listed once.
            There are more than ``dimension`` where the same barrier opens up further dimensions.
    """

    dimension: int
    barrier: float | None
    directions: tuple[tuple[Direction, ...], ...]

    def __str__(self) -> str:
        """In words: "1D from 0.35 eV, along b"."""
        if self.barrier is None:
            return f"{self.dimension}D never"
        where = " or ".join(_in_words(network) for network in self.directions)
        return f"{self.dimension}D from {self.barrier:.3g} eV, {where}"


def percolation(
    hops: Sequence[Hop], barriers: Sequence[float], ions: Collection[int] | None = None
) -> tuple[Percolation, ...]:
    """Find out at which barriers hops connect in 1, 2 and 3 dimensions.

    Sites and hops are a periodic graph. Hops are added from the lowest barrier on, and a
    union-find keeps for every site the lattice vector to the root of its network. A hop within a
    network then closes a path from a site to one of its periodic images, a lattice vector apart;
    as many of these as are independent is the dimension of the network. A network of empty sites
    alone leads nowhere as long as no ion gets into it: it counts from the barrier on at which a
    site with an ion is connected to it. In a host without ions every network counts.

    Args:
        hops: distinct hops of one structure (:func:`linegraph.hops.hops`); all their copies count.
        barriers: one for each hop, eV.
        ions: sites that hold an ion; by default those ends of the hops that are not empty.

    Returns:
        What holds for 1, 2 and 3 dimensions, in this order.

    Raises:
        InputError: not one finite barrier for each hop.
    """
    if len(hops) != len(barriers):
        raise InputError(f"{len(barriers)} barriers for {len(hops)} hops", field="barriers")
    for hop, barrier in zip(hops, barriers, strict=True):
        if not np.isfinite(barrier):
            raise InputError(f"that of hop {hop.label} is NaN or infinite", field="barriers")
    networks = _Networks(_occupied(hops) if ions is None else frozenset(ions))
    reached: dict[int, Percolation] = {}
    in_order = sorted(range(len(hops)), key=lambda i: barriers[i])
    for barrier, group in groupby(in_order, key=lambda i: float(barriers[i])):
        for i in group:
            networks.add(hops[i].copies)
        for dimension in (1, 2, 3):
            if dimension not in reached and (found := networks.of_dimension(dimension)):
                reached[dimension] = Percolation(dimension, barrier, found)
    return tuple(reached.get(d, Percolation(d, None, ())) for d in (1, 2, 3))


class _Networks:
    """Connected sites, and the lattice vectors that lead back to the same network."""

    def __init__(self, ions: Collection[int]) -> None:
        self._ions = ions
        # Roots of networks that an ion is in.
        self._used: set[int] = set()
        self._parent: dict[int, tuple[int, Direction]] = {}
        # By root: independent vectors between periodic images within the network.
        self._periods: dict[int, list[Direction]] = {}

    def add(self, copies: Iterable[Copy]) -> None:
        """Connect the ends of hops."""
        for initial, final, *image in copies:
            root, offset = self._find(initial)
            other, other_offset = self._find(final)
            a, b, c = (o + i - p for o, i, p in zip(offset, image, other_offset, strict=True))
            if root != other:
                self._parent[other] = (root, (a, b, c))
                if other in self._used:
                    self._used.add(root)
                closed = self._periods.pop(other)
            else:
                closed = [(a, b, c)]
            for period in closed:
                if _independent(self._periods[root], period):
                    self._periods[root].append(period)

    def of_dimension(self, dimension: int) -> tuple[tuple[Direction, ...], ...]:
        """Directions of the networks that extend in so many dimensions or more."""
        found = {
            _directions(periods)
            for root, periods in self._periods.items()
            if len(periods) >= dimension and (root in self._used or not self._ions)
        }
        return tuple(sorted(found, reverse=True))

    def _find(self, site: int) -> tuple[int, Direction]:
        """The root of a site, and the cell of the site that is connected to the root in cell 0."""
        if site not in self._parent:
            self._parent[site] = (site, _ZERO)
            self._periods[site] = []
            if site in self._ions:
                self._used.add(site)
        path = []
        while self._parent[site][0] != site:
            path.append(site)
            site = self._parent[site][0]
        offset = _ZERO
        for step in reversed(path):
            a, b, c = (x + y for x, y in zip(offset, self._parent[step][1], strict=True))
            offset = (a, b, c)
            self._parent[step] = (site, offset)
        return site, offset


def _occupied(hops: Iterable[Hop]) -> frozenset[int]:
    """Sites with an ion, as hops between them tell."""
    return frozenset(
        site
        for hop in hops
        for copy in hop.copies
        for site, empty in zip(copy[:2], hop.empty, strict=True)
        if not empty
    )


def _independent(vectors: list[Direction], another: Direction) -> bool:
    """Whether a vector adds a dimension; exact, in whole numbers."""
    if len(vectors) < 2:
        return any(_cross(vectors[0], another) if vectors else another)
    normal = _cross(vectors[0], vectors[1])
    return len(vectors) == 2 and sum(x * y for x, y in zip(normal, another, strict=True)) != 0


def _cross(one: Direction, other: Direction) -> Direction:
    (a, b, c), (d, e, f) = one, other
    return b * f - c * e, c * d - a * f, a * e - b * d


def _directions(periods: list[Direction]) -> tuple[Direction, ...]:
    """The simplest lattice directions that span the same as some independent vectors."""
    if len(periods) == 3:
        return _AXES
    if len(periods) == 1:
        return (_smallest(periods[0]),)
    normal = _smallest(_cross(*periods))
    largest = max(map(abs, normal))
    if largest > _LARGEST_INDEX:
        return tuple(_smallest(period) for period in periods)
    grid = np.array(list(product(range(-largest, largest + 1), repeat=3)))
    in_plane = grid[(grid @ normal == 0) & grid.any(axis=1)]
    first, *others = sorted({_smallest(_direction(v)) for v in in_plane}, key=_complexity)
    return first, next(v for v in others if any(_cross(first, v)))


def _direction(vector: NDArray[np.int64]) -> Direction:
    a, b, c = vector.tolist()
    return a, b, c


def _smallest(vector: Direction) -> Direction:
    """The same direction in the smallest whole numbers, the first of them positive."""
    common = gcd(*vector)
    a, b, c = (x // (common if vector > _ZERO else -common) for x in vector)
    return a, b, c


def _complexity(vector: Direction) -> tuple[int, Direction]:
    a, b, c = vector
    return a * a + b * b + c * c, (-a, -b, -c)


def _in_words(network: tuple[Direction, ...]) -> str:
    if len(network) == 3:
        return "in all directions"
    return "along " + " and ".join(map(_name, network))


def _name(direction: Direction) -> str:
    if direction in _AXES:
        return "abc"[_AXES.index(direction)]
    between = "" if max(map(abs, direction)) < 10 else " "
    return f"[{between.join(map(str, direction))}]"
