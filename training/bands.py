"""A band: the structure a barrier is predicted from, with its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linegraph.elements import SYMBOLS
from linegraph.ends import Ends, as_ends
from linegraph.errors import InputError
from linegraph.image_order import check_order
from linegraph.overlap import closest_pair
from linegraph.paths import IMAGES
from linegraph.potential import checked_barrier
from linegraph.structure import Cell

__all__ = ["IMAGES", "OVERLAP", "Band", "barrier", "check_band", "check_ends", "check_sites"]

#: Atoms nearer than this (Å) share a site. Published records hold doubled sites 0.014 Å apart.
OVERLAP = 0.01


def barrier(value: float | None) -> float | None:
    """A target in eV, or None for None.

    Raises:
        InputError: negative, or so high that the unit must be another one
            (:data:`linegraph.potential.HIGHEST`). The field is ``target``.
    """
    try:
        return None if value is None else checked_barrier(value)
    except InputError as error:
        raise error.at(field="target") from None


@dataclass(frozen=True, eq=False)
class Band:
    """One hop of one ion in one host.

    Attributes:
        name: unique within its data set.
        cell: host and path in one structure; atoms 0..4 are the five images of the migrating
            ion, all of one element, from initial to final. Or only the two end structures, whose
            atom 0 is the ion: enough for models that look at nothing in between.
        target: migration barrier E_m in eV, or None where it is not known.
        system: the compound; records of one system never lie on both sides of a grouped split.
        family: material class (olivine, layered, ...), empty if unknown.
        source: where the barrier comes from, empty if unknown.
    """

    name: str
    cell: Cell | Ends[Cell]
    target: float | None = None
    system: str = ""
    family: str = ""
    source: str = ""

    @property
    def structures(self) -> tuple[Cell, ...]:
        """What there is: the band, or the initial and the final structure."""
        return tuple(self.cell) if isinstance(self.cell, Ends) else (self.cell,)


def check_band(cell: Cell) -> None:
    """Refuse a structure that cannot be a band.

    Raises:
        InputError: fewer than five atoms, images of different elements, two atoms on one site, or
            images in another order than that of the path. The images 1 to 3 may lie on an atom of
            the host: paths are interpolated, and some published ones run right through an atom.
    """
    if len(cell) < IMAGES:
        raise InputError(
            f"{len(cell)} atoms, but a band starts with its {IMAGES} images", field="elements"
        )
    if len(set(cell.numbers[:IMAGES].tolist())) > 1:
        found = " ".join(SYMBOLS[z - 1] for z in cell.numbers[:IMAGES])
        raise InputError(
            f"atoms 0 to {IMAGES - 1}, the images of one ion, differ: {found}", field="elements"
        )
    atoms = list(range(len(cell)))
    check_sites(cell, atoms[:IMAGES])
    check_sites(cell, [0, *atoms[IMAGES - 1 :]])
    check_order(cell)


def check_ends(ends: Ends[Cell]) -> None:
    """Refuse two structures that cannot be the ends of a hop.

    Raises:
        InputError: other than the same atoms in both (:func:`linegraph.ends.as_ends`), two atoms
            on one site, or an ion that is at the same place in both. The field starts with
            ``initial`` or ``final``.
    """
    as_ends(ends)
    for end, cell in ends._asdict().items():
        try:
            check_sites(cell)
        except InputError as error:
            raise InputError(error.problem, field=f"{end}.{error.field}") from None
    hop = ends.final.frac[0] - ends.initial.frac[0]
    if np.linalg.norm((hop - np.rint(hop)) @ ends.initial.lattice) < OVERLAP:
        raise InputError(
            "atom 0, the migrating ion, is where it was in the initial structure "
            "(periodic images count)",
            field="final.coords",
        )


def check_sites(cell: Cell, atoms: list[int] | None = None) -> None:
    """Refuse two atoms on one site, looking only at the given atoms (by default all).

    Raises:
        InputError: two of them are nearer than :data:`OVERLAP`, periodic images included.
    """
    part = cell if atoms is None else Cell(cell.lattice, cell.frac[atoms], cell.numbers[atoms])
    pair = closest_pair(part, OVERLAP)
    if pair is not None:
        i, j = pair[:2] if atoms is None else (atoms[pair[0]], atoms[pair[1]])
        raise InputError(
            f"atoms {i} and {j} are on one site ({pair[2]:.4f} Å apart, periodic images count)",
            field="coords",
        )
