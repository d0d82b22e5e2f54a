"""Structures from what users have: pymatgen, ASE, files."""

from __future__ import annotations

import json
import re
import zlib
from lzma import LZMAError
from os import PathLike
from os.path import exists, isdir, isfile, islink
from pathlib import Path
from typing import Any

import numpy as np

from .cif import read_cif
from .errors import InputError
from .poscar import check_poscar
from .safe_reading import inflated, read_bytes
from .structure import Cell
from .warned import warnings_as

# What pymatgen takes a file for, by its name.
_CIF = re.compile(r"\.m?cif", re.IGNORECASE)
_JSON = re.compile(r"\.(json|mson)", re.IGNORECASE)
_YAML = re.compile(r"\.ya?ml", re.IGNORECASE)
_UNKNOWN = "cannot be read: its name says no known format; name it .cif, .vasp (POSCAR) or .json"
_POSCAR = re.compile(r"POSCAR|CONTCAR|\.vasp|^CHGCAR|^LOCPOT", re.IGNORECASE)

# Names of standard input, which is no file that could be read twice.
_STDIN = ("-", "/dev/stdin", "/dev/fd/0")


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
    if str(path) in _STDIN:
        raise InputError("standard input is not read; give a file", file=path)
    if not isfile(path):
        raise InputError(_why_no_file(path), file=path)
    try:
        from pymatgen.core import Structure
    except ImportError:
        raise InputError(
            "reading structure files needs pymatgen: pip install pymatgen", file=path
        ) from None
    try:
        if _CIF.search(path.name):
            return read_cif(path)
        text = _text_of(path)
        if not text.strip():
            raise InputError("is empty")
        if _JSON.search(path.name):
            return cell_of_dict(json.loads(text))
        if _YAML.search(path.name):
            raise InputError("structures as YAML are not read; give CIF, POSCAR or JSON")
        if _POSCAR.search(path.name):
            check_poscar(text)
    except InputError as error:
        raise error.at(file=path) from None
    except (OSError, EOFError, ValueError, RecursionError, LZMAError, zlib.error) as error:
        raise _unreadable(path, error) from error
    try:
        # A POSCAR without element names would become one of hydrogen, helium, ...
        with warnings_as("error", "Elements in POSCAR cannot be determined"):
            structure = Structure.from_file(path)
    except Exception as error:  # pymatgen's parsers raise whatever they stumble over
        if "Unrecognized extension" in str(error):
            what = "looks like a CIF: name it .cif" if "_atom_site_" in text else _UNKNOWN
            raise InputError(what, file=path) from None
        raise _unreadable(path, error) from error
    try:
        return _from_pymatgen(structure)
    except InputError as error:
        raise error.at(file=path) from None


def _why_no_file(path: Path) -> str:
    if isdir(path):
        return "is a folder"
    if exists(path):
        return "is no regular file"
    return "is a link to a file that is not there" if islink(path) else "no such file"


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()
    return InputError(
        f"cannot be read as a structure ({reason[0] if reason else type(error).__name__})",
        file=path,
    )


def _text_of(path: Path) -> str:
    """What a file says, decompressed as pymatgen would; what is no text is left to pymatgen."""
    return inflated(read_bytes(path), path.name).decode("utf-8-sig", "replace")


def cell_of_dict(structure: Any) -> Cell:
    """A structure as pymatgen writes it to JSON (``Structure.as_dict()``).

    Only lattice, elements and places are looked at. pymatgen itself would make objects of what it
    finds among the properties, and import any module that is named there.

    Raises:
        InputError: no such structure, or one that :func:`as_cell` refuses.
    """
    from pymatgen.core import Structure

    if not isinstance(structure, dict):
        raise InputError("is no structure of pymatgen, which is an object")
    try:
        sites = [
            {"species": [_species(one) for one in site["species"]], "abc": site["abc"]}
            for site in structure["sites"]
        ]
        matrix = np.array(structure["lattice"]["matrix"], dtype=np.float64)
        # The rest of what is said of a lattice follows from its vectors.
        lattice = {"matrix": matrix.tolist(), "pbc": structure["lattice"].get("pbc", [True] * 3)}
        made = Structure.from_dict({"lattice": lattice, "sites": sites})
    except Exception as error:  # it fails in as many ways as there are keys
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"is no structure of pymatgen ({what})") from error
    return _from_pymatgen(made)


def _species(one: dict[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("element", "occu", "oxidation_state") if key in one}
