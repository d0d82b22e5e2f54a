"""How much room an ion has at a place in a crystal: which atoms it sits between, and how near."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .elements import SYMBOLS
from .holes import holes
from .structure import Cell
from .warned import warnings_as

#: Å; two sites of an ion are never nearer to each other (the shortest published hop has 1.52 Å).
SEPARATE = 1.4

#: Bounds on the distance to the nearest counter-ion, in sums of mean ionic radii. Of the ends of
#: the published hops 1 % are below the first, and none is above 1.25.
_TIGHT, _WIDE = 0.75, 1.5

#: Bounds on the distances to the nearest and the second nearest ion of its own sign that stays, in
#: terms of that to the nearest counter-ion. Of those ends 0.2 and 1.3 % are below. Where polyhedra
#: share a face it is about 1: a site is known to do so once, as in layered oxides, but not twice.
_ONE_LIKE, _TWO_LIKE = 0.95, 1.1

#: Å; atoms of one element count as one shell within this.
_SHELL = 0.3

#: Å; neighbours are as near as the nearest within this.
_AS_NEAR = 0.05

#: Å; atoms further away do not matter.
_NEAR = 6.0


class Shell(NamedTuple):
    """The nearest atoms of one element.

    Attributes:
        element: its symbol.
        atoms: how many there are at most 0.3 Å further than the nearest.
        distance: of the nearest, Å.
    """

    element: str
    atoms: int
    distance: float


class Surroundings:
    """The atoms of a crystal as an ion sees them.

    Attributes:
        lattice: pymatgen's.
        counter: elements of the counter-ions, which an ion sits between. For a cation these are the
            elements whose atoms mostly have nearest neighbours, among those of other elements, that
            are less electronegative on average; for an anion all others. Where there are none, as
            in a metal, all elements but the ion's.

    Args:
        cell: the primitive cell; its atoms besides the ion.
        ion: element.
    """

    def __init__(self, cell: Cell, ion: str) -> None:
        from pymatgen.core import Lattice

        self.lattice = Lattice(cell.lattice)
        self._frac = cell.frac
        self._symbols = np.array([SYMBOLS[z - 1] for z in cell.numbers.tolist()])
        self._ion = ion
        with warnings_as("ignore"):  # of elements without an electronegativity or radius
            self.counter = self._counter_ions()
            self._contact = {symbol: _contact(ion, symbol) for symbol in self.counter}

    def holes(self) -> NDArray[np.float64]:
        """Fractional coordinates ``[K, 3]`` of the holes between counter-ions, of any use or not.

        Those that are nearer to the middle of nothing are left out (:meth:`room`).
        """
        counter = np.isin(self._symbols, list(self.counter))
        if not counter.any():
            return np.zeros((0, 3))
        widest = _WIDE * max(self._contact.values())
        return holes(self.lattice.matrix, self._frac[counter], widest)

    def room(self, place: NDArray[np.float64]) -> float:
        """How far the atoms are from a place ``[3]`` in terms of how far they have to be.

        Returns:
            The least such ratio, 1 or more where there is room. 0 in the middle of nothing, where
            no counter-ion holds an ion.
        """
        symbols, distances = self._around(place)
        counter = np.isin(symbols, list(self.counter))
        touching = np.array([self._contact[symbol] for symbol in symbols[counter].tolist()])
        apart = distances[counter] / touching
        if apart.min(initial=np.inf) > _WIDE:
            return 0.0
        like = np.sort(distances[~counter & (symbols != self._ion)])[:2]
        own = distances[symbols == self._ion]
        between = distances[counter].min()
        faces = like[:1] / (_ONE_LIKE * between), like[1:] / (_TWO_LIKE * between)
        parts = (apart / _TIGHT, *faces, own / SEPARATE)
        return min(float(part.min(initial=np.inf)) for part in parts)

    def shells(self, place: NDArray[np.float64]) -> tuple[Shell, ...]:
        """The nearest atoms of each element within 6 Å of a place ``[3]``, by distance."""
        symbols, distances = self._around(place)
        shells = []
        for symbol in sorted(set(symbols.tolist())):
            of = distances[symbols == symbol]
            shells.append(Shell(symbol, int((of <= of.min() + _SHELL).sum()), float(of.min())))
        return tuple(sorted(shells, key=lambda shell: round(shell.distance, 3)))

    def _around(self, place: NDArray[np.float64]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        center = self.lattice.get_cartesian_coords(place)
        found: Any = self.lattice.get_points_in_sphere(self._frac, center, _NEAR, zip_results=False)
        _, distances, atoms, _ = found
        return self._symbols[np.asarray(atoms, dtype=np.int64)], np.asarray(distances)

    def _counter_ions(self) -> set[str]:
        from pymatgen.core import Element

        every = set(self._symbols.tolist())
        x = {symbol: float(Element(symbol).X) for symbol in {*every, self._ion}}
        apart = self.lattice.get_all_distances(self._frac, self._frac)
        apart[self._symbols[:, None] == self._symbols] = np.inf
        own = np.array([x[symbol] for symbol in self._symbols.tolist()])
        # Of two elements as near, rounding would make one the nearest.
        nearest = apart < apart.min(axis=1, keepdims=True) + _AS_NEAR
        there = np.isfinite(apart.min(axis=1))
        negative = there & (own > (nearest @ own) / nearest.sum(axis=1).clip(1))
        anions = {one for one in every if negative[self._symbols == one].mean() > 0.5}
        others = every - {self._ion}
        is_cation = all(x[self._ion] < x[anion] for anion in anions)
        return (others & anions if is_cation else others - anions) or others


def _contact(ion: str, other: str) -> float:
    """Å; how far apart two ions are that touch, or two atoms where they are no ions."""
    from pymatgen.core import Element

    cation, anion = sorted((Element(ion), Element(other)), key=lambda element: element.X)
    radii = float(cation.average_cationic_radius), float(anion.average_anionic_radius)
    return sum(radii) if min(radii) > 0 else _radius(cation) + _radius(anion)


def _radius(element: Any) -> float:
    return float(element.atomic_radius or element.atomic_radius_calculated or 1.5)
