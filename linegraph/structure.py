"""A periodic structure as three arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

#: Largest atomic number with features (the table of the reference repeats Z = 100 up to 103).
MAX_Z = 103

#: Cells that an atom may lie away from the given one. Beyond, single atoms are out of the reach of
#: the digits that coordinates have, and lattice translations out of that of 32 bits.
FARTHEST = 1e8

#: Å; no crystal has a longer lattice vector.
LARGEST_CELL = 1e6


@dataclass(frozen=True, eq=False)
class Cell:
    """A periodic structure: all that graphs are made of, without any structure library.

    Attributes:
        lattice: ``[3, 3]`` float64, rows are the lattice vectors in Å.
        frac: ``[N, 3]`` float64 fractional coordinates, as given (not wrapped).
        numbers: ``[N]`` int64 atomic numbers.

    Raises:
        InputError: wrong shapes, values that are not finite or far out of any crystal, a singular
            lattice, an atomic number outside 1..103, no atoms.
    """

    lattice: NDArray[np.float64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]

    def __init__(self, lattice: ArrayLike, frac: ArrayLike, numbers: ArrayLike) -> None:
        lattice_ = _array(lattice, np.float64, "lattice")
        frac_ = _array(frac, np.float64, "coords")
        numbers_ = _array(numbers, np.int64, "elements")
        if lattice_.shape != (3, 3):
            raise InputError(f"expected 3 x 3 numbers, got shape {lattice_.shape}", field="lattice")
        if numbers_.ndim != 1 or len(numbers_) == 0:
            raise InputError("there are no atoms", field="elements")
        if frac_.shape != (len(numbers_), 3):
            raise InputError(
                f"{len(numbers_)} elements but coordinates of shape {frac_.shape}", field="coords"
            )
        if not np.isfinite(lattice_).all():
            raise InputError("a lattice vector is NaN or infinite", field="lattice")
        if not np.isfinite(frac_).all():
            atom = int(np.flatnonzero(~np.isfinite(frac_).all(axis=1))[0])
            raise InputError(f"coordinate of atom {atom} is NaN or infinite", field="coords")
        if np.abs(frac_).max() > FARTHEST:
            atom = int(np.abs(frac_).max(axis=1).argmax())
            raise InputError(
                f"atom {atom} is {np.abs(frac_).max():.1g} cells away from the cell", field="coords"
            )
        if np.abs(lattice_).max() > LARGEST_CELL:
            raise InputError(
                f"a lattice vector is {np.abs(lattice_).max():.1g} Å long", field="lattice"
            )
        lengths = np.linalg.norm(lattice_, axis=1)
        # The volume relative to a box of the same edges: the sine of the flattest angle, so that
        # a needle is fine and a cell squashed into a plane is not.
        if lengths.min() < 1e-3 or abs(np.linalg.det(lattice_ / lengths[:, None])) < 1e-4:
            raise InputError("the lattice is singular (its cell has no volume)", field="lattice")
        bad = (numbers_ < 1) | (numbers_ > MAX_Z)
        if bad.any():
            atom = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"atom {atom} has atomic number {numbers_[atom]}; known are 1 to {MAX_Z}",
                field="elements",
            )
        object.__setattr__(self, "lattice", lattice_)
        object.__setattr__(self, "frac", frac_)
        object.__setattr__(self, "numbers", numbers_)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def cart(self) -> NDArray[np.float64]:
        """Cartesian positions ``[N, 3]`` in Å."""
        return self.frac @ self.lattice

    def with_lattice_decimals(self, decimals: int | None) -> Cell:
        """The structure on a lattice rounded to so many decimals (Å); itself if None."""
        if decimals is None:
            return self
        return Cell(np.round(self.lattice, decimals), self.frac, self.numbers)

    def without(self, atoms: slice | list[int]) -> Cell:
        """The structure without the given atoms, order kept."""
        return Cell(
            self.lattice, np.delete(self.frac, atoms, axis=0), np.delete(self.numbers, atoms)
        )


def _array(values: ArrayLike, dtype: Any, field: str) -> NDArray[Any]:
    try:
        array = np.array(values, dtype=dtype)
        whole = dtype is not np.int64 or np.array_equal(array, np.array(values, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise InputError("not an array of numbers", field=field) from None
    if not whole:
        raise InputError("not whole numbers", field=field)
    return array
