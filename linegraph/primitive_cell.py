"""The primitive cell of a structure, the operations of its space group, and how the structure is
made of it.

The operations of a supercell are only those that its own shape allows. All symmetry is therefore
found in the primitive cell.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .overlap import closest_pair
from .structure import Cell
from .warned import warnings_as

#: Å; atoms or sites nearer to each other than this are a mistake.
TOO_NEAR = 0.5

#: Structures whose primitive cell is kept: the hops of one, their bands and what is equivalent to
#: them are asked for one after the other.
_KEPT = 8


class Crystal(NamedTuple):
    """The primitive cell, and how the given one is made of it.

    Attributes:
        cell: the primitive cell, ``n`` atoms, in the orientation of the given one.
        rotations: ``[G, 3, 3]`` int64, and
        translations: ``[G, 3]``: fractional coordinates ``x`` go to ``rotation @ x + translation``.
        kind: ``[N]`` the primitive atom that each given atom is a copy of,
        offset: ``[N, 3]`` int64, and the primitive cell it lies in.
        periods: ``[3, 3]`` int64 rows, the given lattice in terms of the primitive one.
    """

    cell: Cell
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    kind: NDArray[np.int64]
    offset: NDArray[np.int64]
    periods: NDArray[np.int64]

    def codes(self, site: NDArray[np.int64], offset: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for each site ``[...]`` and offset ``[..., 3]``.

        It is the same for offsets a period of the given cell apart, and for no others.
        """
        size, adjugate = self._adjugate()
        code: NDArray[np.int64] = site
        for residue in np.moveaxis((offset @ adjugate) % abs(size), -1, 0):
            code = code * abs(size) + residue
        return code

    def in_periods(self, offset: NDArray[np.int64]) -> NDArray[np.int64]:
        """Offsets ``[..., 3]`` that are periods of the given cell, in terms of its lattice."""
        size, adjugate = self._adjugate()
        return (offset @ adjugate) // size

    def moved(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[G, 3]`` where the operations take a place ``[3]``."""
        places: NDArray[np.float64] = self.rotations @ place + self.translations
        return places

    def _adjugate(self) -> tuple[int, NDArray[np.int64]]:
        size = round(float(np.linalg.det(self.periods)))
        return size, np.rint(size * np.linalg.inv(self.periods)).astype(np.int64)


def primitive(cell: Cell, symprec: float) -> Crystal:
    """Reduce a structure to its primitive cell and find the operations of its space group.

    Args:
        cell: any cell of the crystal.
        symprec: tolerance, Å.

    Returns:
        What was found, shared by all who ask: its arrays are read-only.

    Raises:
        InputError: two atoms on top of each other, or spglib finds no symmetry that fits together.
    """
    return _primitive(
        cell.lattice.tobytes(), cell.frac.tobytes(), cell.numbers.tobytes(), float(symprec)
    )


@lru_cache(maxsize=_KEPT)
def _primitive(lattice: bytes, places: bytes, numbers: bytes, symprec: float) -> Crystal:
    cell = Cell(
        np.frombuffer(lattice).reshape(3, 3),
        np.frombuffer(places).reshape(-1, 3),
        np.frombuffer(numbers, dtype=np.int64),
    )
    _check_apart(cell)
    whole = _symmetry(cell, symprec)
    periods = np.rint(cell.lattice @ np.linalg.inv(whole.primitive_lattice)).astype(np.int64)
    copies = round(abs(float(np.linalg.det(periods))))
    _, first, kind = np.unique(whole.mapping_to_primitive, return_index=True, return_inverse=True)
    if copies * len(first) != len(cell):
        raise _ambiguous(symprec)
    frac = cell.frac @ periods
    one = Cell(np.linalg.inv(periods) @ cell.lattice, frac[first], cell.numbers[first])
    own = _symmetry(one, symprec)
    crystal = Crystal(
        one,
        np.asarray(own.rotations, dtype=np.int64),
        np.asarray(own.translations, dtype=np.float64),
        kind,
        np.rint(frac - frac[first][kind]).astype(np.int64),
        periods,
    )
    # Every atom has its copies, each in another of the primitive cells that make up the given one.
    if len(np.unique(crystal.codes(kind, crystal.offset))) != len(cell):
        raise _ambiguous(symprec)
    for array in (*crystal[1:], one.lattice, one.frac, one.numbers):
        array.flags.writeable = False
    return crystal


def _spglib() -> Any:
    try:
        return import_module("spglib")
    except ImportError:
        raise InputError("symmetry needs spglib: pip install spglib") from None


def _check_apart(cell: Cell) -> None:
    # The same atoms in a compact cell: a sheared one may be too thin for rounding to find the
    # nearest images.
    with warnings_as("ignore"):
        compact = _spglib().delaunay_reduce(cell.lattice)
    lattice = cell.lattice if compact is None else compact
    same = Cell(lattice, cell.cart @ np.linalg.inv(lattice), cell.numbers)
    if pair := closest_pair(same, TOO_NEAR):
        raise InputError("atoms {} and {} are only {:.2f} Å apart".format(*pair), field="coords")


def _symmetry(cell: Cell, symprec: float) -> Any:
    spglib = _spglib()
    try:
        with warnings_as("ignore"):  # that its way of reporting failures will change
            found = spglib.get_symmetry_dataset((cell.lattice, cell.frac, cell.numbers), symprec)
    except Exception as error:  # what it raises depends on the version; older ones return None
        raise _ambiguous(symprec) from error
    if found is None:
        raise _ambiguous(symprec)
    return found


def _ambiguous(symprec: float) -> InputError:
    return InputError(
        f"no consistent symmetry is found within {symprec:g} Å; try a smaller tolerance",
        field="symprec",
    )
