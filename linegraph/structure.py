"""A periodic structure as three arrays, and the way to it from what users have."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

#: Largest atomic number with features (the table of the reference repeats Z = 100 up to 103).
MAX_Z = 103


@dataclass(frozen=True, eq=False)
class Cell:
    """A periodic structure: all that graphs are made of, without any structure library.

    Attributes:
        lattice: ``[3, 3]`` float64, rows are the lattice vectors in Å.
        frac: ``[N, 3]`` float64 fractional coordinates, as given (not wrapped).
        numbers: ``[N]`` int64 atomic numbers.

    Raises:
        InputError: wrong shapes, values that are not finite, a singular lattice, an atomic
            number outside 1..103, no atoms.
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

    def without(self, atoms: slice | list[int]) -> Cell:
        """The structure without the given atoms, order kept."""
        return Cell(
            self.lattice, np.delete(self.frac, atoms, axis=0), np.delete(self.numbers, atoms)
        )


def as_cell(structure: Any) -> Cell:
    """Read whatever a user calls a structure.

    Args:
        structure: a :class:`Cell`, a pymatgen ``Structure``, ASE ``Atoms``, or the path of a
            file that pymatgen reads (CIF, POSCAR, ...).

    Raises:
        InputError: not a structure, not periodic in three directions, sites with partial
            occupancy, an unreadable file, or anything :class:`Cell` refuses.
    """
    if isinstance(structure, Cell):
        return structure
    if isinstance(structure, str | PathLike):
        return _from_file(Path(structure))
    if hasattr(structure, "frac_coords") and hasattr(structure, "lattice"):
        return _from_pymatgen(structure)
    if hasattr(structure, "get_scaled_positions") and hasattr(structure, "pbc"):
        return _from_ase(structure)
    raise InputError(
        f"{type(structure).__name__} is no structure: "
        "give a pymatgen Structure, ASE Atoms or a path"
    )


def _from_pymatgen(structure: Any) -> Cell:
    if not structure.is_ordered:
        site = next(i for i, s in enumerate(structure) if not s.is_ordered)
        raise InputError(
            f"site {site} ({structure[site].species_string}) is partially occupied; "
            "order the structure first",
            field="elements",
        )
    if not all(structure.lattice.pbc):
        raise InputError("the structure is not periodic in all three directions", field="pbc")
    numbers = [site.specie.Z for site in structure]
    for site, z in zip(structure, numbers, strict=True):
        if not 1 <= z <= 118:  # a DummySpecies has a hash for its number
            raise InputError(f"{site.species_string} is no element", field="elements")
    return Cell(structure.lattice.matrix, structure.frac_coords, numbers)


def _from_ase(atoms: Any) -> Cell:
    if not all(atoms.pbc):
        raise InputError("the structure is not periodic in all three directions", field="pbc")
    cell = np.asarray(atoms.cell[:], dtype=np.float64)
    if abs(np.linalg.det(cell)) < 1e-9:
        raise InputError("the lattice is singular (its cell has no volume)", field="lattice")
    # ASE's own get_scaled_positions(wrap=False) does this too; solved here to keep it in float64.
    return Cell(cell, np.linalg.solve(cell.T, atoms.positions.T).T, atoms.numbers)


def _from_file(path: Path) -> Cell:
    if not path.is_file():
        raise InputError("no such file", file=path)
    try:
        from pymatgen.core import Structure
    except ImportError:
        raise InputError(
            "reading structure files needs pymatgen: pip install pymatgen", file=path
        ) from None
    if path.suffix.lower() == ".cif":
        from .cif import explicit_cif

        try:
            cell = explicit_cif(path)
        except InputError as error:
            raise error.at(file=path) from None
        if cell is not None:
            return cell
    try:
        with warnings.catch_warnings():
            # A POSCAR without element names would become one of hydrogen, helium, ...
            warnings.filterwarnings("error", message="Elements in POSCAR cannot be determined")
            structure = Structure.from_file(path)
    except Exception as error:  # pymatgen's parsers raise whatever they stumble over
        reason = str(error).strip().splitlines()
        raise InputError(
            f"cannot be read as a structure ({reason[0] if reason else type(error).__name__})",
            file=path,
        ) from error
    try:
        return _from_pymatgen(structure)
    except InputError as error:
        raise error.at(file=path) from None


def _array(values: ArrayLike, dtype: Any, field: str) -> NDArray[Any]:
    try:
        array = np.array(values, dtype=dtype)
        whole = dtype is not np.int64 or np.array_equal(array, np.array(values, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise InputError("not an array of numbers", field=field) from None
    if not whole:
        raise InputError("not whole numbers", field=field)
    return array
