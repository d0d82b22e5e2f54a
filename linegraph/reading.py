"""Structures from what users have: pymatgen, ASE, files."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .cif import explicit_cif
from .errors import InputError
from .structure import Cell


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
