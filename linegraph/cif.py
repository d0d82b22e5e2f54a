"""CIF files: atoms as they are listed, and as symmetry makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cif_amounts import check_listed, check_made, check_unsaid, has_units
from .cif_sites import Data, column, elements_of, places_of, plain_symbols
from .cif_symmetry import is_identity, operations_of
from .errors import InputError
from .overlap import closest_pair
from .primitive_cell import TOO_NEAR
from .safe_reading import inflated, read_bytes
from .special_positions import settled
from .structure import Cell
from .warned import warnings_as

_SITES = "_atom_site_fract_x"
_LATTICE = tuple(
    [f"_cell_length_{axis}" for axis in "abc"]
    + [f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")]
    + ["_symmetry_cell_setting", "_space_group_crystal_system"]
)
_CHARGES = ("_atom_type_symbol", "_atom_type_oxidation_number")


def explicit_cif(path: Path) -> Cell | None:
    """The atoms of a CIF that lists all of them, in the order and at the places of the file.

    pymatgen's own way from CIF to ``Structure`` sorts the atoms by electronegativity, wraps each
    into the cell and merges those that are near, so that atoms 0..4 of a band may be other atoms
    afterwards and its path may be broken. Here only its tokeniser is used.

    Returns:
        The structure, or None where the file leaves atoms to be made by symmetry operations.

    Raises:
        InputError: as :func:`read_cif`, or of another name than ``.cif``.
    """
    if path.suffix.lower() != ".cif":
        raise InputError("of the kinds of CIF only plain .cif is read; or write a POSCAR")
    with _as_cif():
        return _read(path).listed


def read_cif(path: Path) -> Cell:
    """The atoms of a CIF: those that are listed, or those that pymatgen makes of them by symmetry.

    All that the file says of elements, occupancies, symmetry and composition is heeded; pymatgen
    leaves out what it does not know, and takes what has no operations that it knows for P1.

    Args:
        path: a plain or compressed CIF, magnetic ones included.

    Raises:
        InputError: not one readable structure, an unknown element, a partly occupied or empty
            site, a space group of which the operations are not known, or atoms in other ratios
            than those of ``_chemical_formula_sum``; the message does not name the file.
    """
    with _as_cif():
        found = _read(path)
        return _made(found) if found.listed is None else found.listed


@dataclass(frozen=True)
class _Found:
    data: Data
    lattice: NDArray[np.float64]
    frac: list[tuple[float, ...]]
    sites: list[int]
    settings: list[list[str]]  # of the operations; more than one where it is not said which
    listed: Cell | None  # unless symmetry makes more atoms


def _read(path: Path) -> _Found:
    from pymatgen.io.cif import CifBlock, CifParser

    data = _data(_text(path))
    frac, sites = places_of(data), elements_of(data)
    lattice = CifParser.from_str("data_x\n_x 1\n").get_lattice(CifBlock(data, [], "x"))
    if lattice is None:
        raise InputError("has no cell lengths and angles", field="lattice")
    settings = operations_of(data, lattice.matrix)
    if not settings:
        check_unsaid(data, sites)
    elif not is_identity(settings[0]):
        return _Found(data, lattice.matrix, frac, sites, settings, None)
    cell = Cell(lattice.matrix, frac, sites)
    check_listed(data, sites)
    return _Found(data, lattice.matrix, frac, sites, [], cell)


def _made(found: _Found) -> Cell:
    """The atoms that symmetry makes, in the only setting in which they are as the file says."""
    made: list[Cell] = []
    problems: list[Exception] = []
    for operations in found.settings:
        try:
            cell = _by_symmetry(found, operations)
            check_made(found.data, found.sites, cell.numbers.tolist())
            made.append(cell)
        except (InputError, ValueError) as error:  # pymatgen's, of two sites that become one
            problems.append(error)
    if not made:
        raise problems[0]
    if len(made) > 1:
        units = [cell for cell in made if has_units(found.data, cell.numbers.tolist())]
        made = [cell for cell in units or made if closest_pair(cell, TOO_NEAR) is None] or made
    if len(made) > 1:
        raise InputError(
            f"names a space group and lists no operations; in {len(made)} of the group's settings "
            "(origins, or axes) there are such atoms: list the operations, or say which it is "
            "(F d -3 m :2)"
        )
    return made[0]


def _by_symmetry(found: _Found, operations: list[str]) -> Cell:
    from pymatgen.core.operations import SymmOp
    from pymatgen.io.cif import CifParser

    # All that pymatgen could misread, or read otherwise than it was read here, is left out.
    data, lines = found.data, ["data_x"]
    lines += [f"{name} '{column(data, name)[0]}'" for name in _LATTICE if column(data, name)]
    lines += _loop({"_symmetry_equiv_pos_as_xyz": operations})
    charges = {name: column(data, name) for name in _CHARGES}
    if len({len(values) for values in charges.values()} - {0}) == 1 and all(charges.values()):
        lines += _loop(charges)
    # Thirds with three digits are not yet on an axis, where several atoms are one.
    moves = [SymmOp.from_xyz_str(one) for one in operations]
    frac = [
        settled(place, np.array([move.operate(place) for move in moves]), found.lattice)
        for place in np.array(found.frac)
    ]
    axes = zip("xyz", np.array(frac).T.tolist(), strict=True)
    places = {f"_atom_site_fract_{axis}": list(map(repr, values)) for axis, values in axes}
    symbols = plain_symbols(data, found.sites)
    lines += _loop({"_atom_site_label": symbols, "_atom_site_type_symbol": symbols, **places})
    parser = CifParser.from_str("\n".join(lines))
    structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    numbers = [site.specie.Z for site in structure]
    return Cell(structure.lattice.matrix, structure.frac_coords, numbers)


def _loop(columns: dict[str, list[str]]) -> list[str]:
    rows = zip(*columns.values(), strict=True)
    return ["loop_", *columns, *(" ".join(f"'{value}'" for value in row) for row in rows)]


def _text(path: Path) -> str:
    content = inflated(read_bytes(path), path.name)
    if not content.strip():
        raise InputError("is empty")
    if b"\0" in content:
        raise InputError("is no text that can be read (UTF-16?); save it as UTF-8")
    # Names of authors come in any encoding; what is read here is plain ASCII.
    text = content.decode("utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _data(text: str) -> Data:
    from pymatgen.io.cif import CifFile

    found = [block.data for block in CifFile.from_str(text).data.values() if _SITES in block.data]
    # Of blocks with the same name pymatgen keeps the last.
    count = max(len(found), len(re.findall(rf"(?m)^[ \t]*{_SITES}\s", text)))
    if not found:
        raise InputError(f"has no {_SITES}, and so no structure as CIF has it")
    if count > 1:
        raise InputError(f"holds {count} structures, expected one")
    return dict(found[0])


@contextmanager
def _as_cif() -> Iterator[None]:
    """Make an :class:`InputError` of whatever the parser stumbles over, and silence it."""
    try:
        import pymatgen.io.cif  # noqa: F401
    except ImportError:
        raise InputError("reading structure files needs pymatgen: pip install pymatgen") from None
    try:
        with warnings_as("ignore"):
            yield
    except InputError:
        raise
    except Exception as error:
        # pymatgen says itself only that there is none.
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines()
        raise InputError(
            f"cannot be read as CIF ({reason[0] if reason else type(cause).__name__})"
        ) from error
