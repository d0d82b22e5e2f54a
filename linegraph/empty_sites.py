"""Where a further ion would fit into a crystal: the empty sites that a finder proposes.

The site of an ion is a hole between counter-ions (:mod:`linegraph.holes`). In which of them it has
room, and which of them symmetry makes one site, is found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .elements import Z_OF
from .errors import InputError
from .hops import Triple, mobile_ion
from .primitive_cell import Crystal, primitive
from .reading import as_cell
from .sites import SAME_PLACE, orbit_of, places_given
from .structure import Cell
from .surroundings import SEPARATE, Shell, Surroundings

#: Atoms of a primitive cell without the ion; what symmetry makes of it takes time.
LARGEST = 200

#: So many kinds are named one by one, the rest is counted.
_NAMED = 10


@dataclass(frozen=True)
class EmptySite:
    """A kind of empty sites that was found.

    Attributes:
        name: as in the labels of hops (``empty1``).
        frac: fractional coordinates of one of them in the given cell.
        multiplicity: number of equivalent ones per given cell.
        nearest: the nearest atoms of each element within 6 Å, the nearest element first.
    """

    name: str
    frac: Triple
    multiplicity: int
    nearest: tuple[Shell, ...]

    def __str__(self) -> str:
        """In words: "empty1 at 0.5 0.25 0.25 (16 in the cell): 2 Li at 1.79 Å, 6 O at 2.17 Å"."""
        place = " ".join(f"{x:.4g}" for x in self.frac)
        around = ", ".join(f"{s.atoms} {s.element} at {s.distance:.2f} Å" for s in self.nearest)
        return f"{self.name} at {place} ({self.multiplicity} in the cell): {around}"

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "fractional": list(self.frac),
            "multiplicity": self.multiplicity,
            "nearest": [
                {"element": s.element, "atoms": s.atoms, "distance_A": s.distance}
                for s in self.nearest
            ],
        }


def find_empty_sites(
    structure: Any,
    ion: str | None = None,
    empty_sites: ArrayLike | None = None,
    symprec: float = 1e-2,
) -> list[EmptySite]:
    """Find the empty sites that an ion may hop over, one of each kind that symmetry makes.

    Candidates are the holes between the counter-ions
    (:class:`linegraph.surroundings.Surroundings`). A site is kept if it

    - is 0.75 to 1.5 times the sum of the ionic radii from its nearest counter-ion;
    - is 0.95 times that distance or more from the nearest other ion of its own sign, and 1.1 times
      from the second nearest: its polyhedron shares a face with one of theirs at most. Of the ends
      of the published hops, 98 % keep all of these bounds;
    - is 1.4 Å or more from all sites of the ion, and from empty ones with more room.

    Args:
        structure: anything :func:`linegraph.crystal_graph` takes; any cell of the crystal.
        ion: element; without it the usual one there is. It need not be in the structure.
        empty_sites: ``[M, 3]`` fractional: sites that are known. None is found near them, and the
            names of those that are found count on from theirs.
        symprec: tolerance for symmetry, Å.

    Returns:
        Those with most room first; maybe none. Their ``frac``, after the sites that are known, are
        ``empty_sites`` for :func:`linegraph.hops.hops`.

    Raises:
        InputError: an unusable structure or ion, or a primitive cell of more than :data:`LARGEST`
            atoms besides the ion.
    """
    cell = as_cell(structure)
    ion = mobile_ion(cell) if ion is None else ion
    if ion not in Z_OF:
        raise InputError(f"{ion!r} is no element", field="ion")
    given = places_given(empty_sites)
    crystal = primitive(cell, symprec)
    host = int((crystal.cell.numbers != Z_OF[ion]).sum())
    if host > LARGEST:
        raise InputError(
            f"are looked for in primitive cells of up to {LARGEST} atoms besides {ion}, this one "
            f"has {host}; name the sites instead",
            field="empty_sites",
        )
    if host == 0:
        return []
    around = Surroundings(crystal.cell, ion)
    taken, kinds = np.zeros((0, 3)), 0
    for place in given @ crystal.periods:
        if not _near(place, taken, around, SAME_PLACE):
            taken, kinds = np.concatenate([taken, orbit_of(place, crystal)]), kinds + 1
    settled = [_settled(place, crystal, around) for place in around.holes()]
    found = []
    for place in _by_room(settled, around):
        orbit = orbit_of(place, crystal)
        # One of the orbit is enough: the others have the same around them.
        if _near(place, np.concatenate([taken, orbit[1:]]), around, SEPARATE):
            continue
        taken, kinds = np.concatenate([taken, orbit]), kinds + 1
        copies = _in_given_cell(orbit, crystal)
        name, shells = f"empty{kinds}", around.shells(place)
        found.append(EmptySite(name, _simplest(copies), len(copies), shells))
    return found


def with_found(
    structure: Cell,
    ion: str | None,
    empty_sites: ArrayLike | None,
    find: bool,
    symprec: float = 1e-2,
) -> tuple[NDArray[np.float64], tuple[EmptySite, ...] | None]:
    """The empty sites that are given, and, if asked for, those that are found.

    Returns:
        All of them ``[M, 3]``, and what was found; None if that was not asked for.

    Raises:
        InputError: see :func:`find_empty_sites`.
    """
    given = places_given(empty_sites)
    if not find:
        return given, None
    found = find_empty_sites(structure, ion, given, symprec)
    return np.array([*given, *(site.frac for site in found)]).reshape(-1, 3), tuple(found)


def empty_sites_in_words(found: Sequence[EmptySite]) -> list[str]:
    """What was found, a line for each kind, of many kinds for the first ten."""
    if not found:
        return ["no empty site is found that has room for the ion"]
    more = [f"  and {len(found) - _NAMED} kinds more"] if len(found) > _NAMED else []
    return ["empty sites found, fractional:", *(f"  {site}" for site in found[:_NAMED]), *more]


def _by_room(
    places: Sequence[NDArray[np.float64]], around: Surroundings
) -> list[NDArray[np.float64]]:
    """Those places that have room for the ion, with most room first."""
    rooms = [around.room(place) for place in places]
    order = [
        # Rounded, and the surroundings after it: two kinds with as much room have an order, too.
        (-round(room, 4), [(round(s.distance, 2), *s[:2]) for s in around.shells(place)], number)
        for number, (room, place) in enumerate(zip(rooms, places, strict=True))
        if room >= 1
    ]
    return [places[number] for *_, number in sorted(order)]


def _settled(
    place: NDArray[np.float64], crystal: Crystal, around: Surroundings
) -> NDArray[np.float64]:
    """A place ``[3]``, or the middle of those of its copies that are too near to be two sites."""
    vectors = _vectors(place, crystal.moved(place), around)
    near = np.linalg.norm(vectors, axis=1) < SEPARATE
    middle: NDArray[np.float64] = place + around.lattice.get_fractional_coords(
        vectors[near].mean(axis=0)
    )
    return middle


def _near(
    place: NDArray[np.float64], others: NDArray[np.float64], around: Surroundings, distance: float
) -> bool:
    """Whether a place ``[3]`` is nearer to any of others ``[K, 3]`` than a distance."""
    if not len(others):
        return False
    return bool((np.linalg.norm(_vectors(place, others, around), axis=1) < distance).any())


def _vectors(
    place: NDArray[np.float64], others: NDArray[np.float64], around: Surroundings
) -> NDArray[np.float64]:
    """Å, ``[K, 3]``, from a place ``[3]`` to the nearest images of others ``[K, 3]``."""
    from pymatgen.core.lattice import pbc_shortest_vectors

    vectors: NDArray[np.float64] = pbc_shortest_vectors(around.lattice, [place], others)[0]
    return vectors


def _in_given_cell(places: NDArray[np.float64], crystal: Crystal) -> NDArray[np.float64]:
    """All copies in the given cell ``[K, 3]`` of sites of the primitive one, in [0, 1)."""
    offsets = crystal.offset[crystal.kind == 0]
    copies = (places[:, None] + offsets).reshape(-1, 3) @ np.linalg.inv(crystal.periods)
    # Rounded, as what is 1 but for the last digit is 0.
    inside: NDArray[np.float64] = np.mod(np.round(copies, 9), 1.0)
    return inside


def _simplest(copies: NDArray[np.float64]) -> Triple:
    """Of equivalent sites ``[K, 3]`` the one that is easiest to read."""
    x, y, z = min(
        copies.tolist(), key=lambda place: (round(sum(place), 6), np.round(place, 6).tolist())
    )
    return x, y, z
