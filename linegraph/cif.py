"""CIF files read literally."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from .elements import Z_OF
from .errors import InputError
from .regular import read_text
from .structure import Cell

#: Neutron work has names of its own for the isotopes of hydrogen.
_Z_OF = {**Z_OF, "D": 1, "T": 1}

#: The largest space groups have so many in their conventional cell.
OPERATIONS = 192

#: Where a CIF lists its operations.
_SYMMETRY = (
    "_symmetry_equiv_pos_as_xyz", "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz", "_space_group_symop_operation_xyz_",
    "_space_group_symop_magn_operation.xyz",
)  # fmt: skip


def explicit_cif(path: Path) -> Cell | None:
    """The atoms of a CIF that lists all of them, in the order and at the places of the file.

    pymatgen's own way from CIF to ``Structure`` sorts the atoms by electronegativity, wraps each
    into the cell and merges those that are near, so that atoms 0..4 of a band may be other atoms
    afterwards and its path may be broken. Here only its tokeniser is used.

    Returns:
        The structure, or None where the file leaves atoms to be made by symmetry operations.

    Raises:
        InputError: not one readable structure, an unknown element or a partly occupied site; the
            message does not name the file.
    """
    if path.suffix.lower() != ".cif":
        raise InputError("of the kinds of CIF only plain .cif is read; or write a POSCAR")
    try:
        from pymatgen.io.cif import CifFile, CifParser, str2float
    except ImportError:
        raise InputError("reading structure files needs pymatgen: pip install pymatgen") from None
    try:
        # Names of authors come in any encoding; what is read here is plain ASCII.
        text = read_text(path, errors="replace")
        blocks = [b for b in CifFile.from_str(text).data.values() if "_atom_site_fract_x" in b.data]
        if len(blocks) != 1:
            raise InputError(f"holds {len(blocks)} structures, expected one")
        data = blocks[0].data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the parser does to the atoms, unused here
            parser = CifParser.from_str(text)
            if max(len(data.get(key, ())) for key in _SYMMETRY) > OPERATIONS:
                raise InputError(
                    f"lists more than {OPERATIONS} symmetry operations, as no space group has"
                )
            lattice, operations = parser.get_lattice(blocks[0]), parser.get_symops(blocks[0])
        if len(operations) != 1:
            return None
        if lattice is None:
            raise InputError("has no cell lengths and angles", field="lattice")
        frac = [[str2float(x) for x in data[f"_atom_site_fract_{axis}"]] for axis in "xyz"]
        symbols = data.get("_atom_site_type_symbol") or data["_atom_site_label"]
        occupancies = [str2float(x) for x in data.get("_atom_site_occupancy", [])]
    except InputError:
        raise
    except Exception as error:  # the parser raises whatever it stumbles over
        reason = str(error).strip().splitlines()
        raise InputError(
            f"cannot be read as CIF ({reason[0] if reason else type(error).__name__})"
        ) from error
    if any(occupancy != 1 for occupancy in occupancies):
        atom = next(i for i, occupancy in enumerate(occupancies) if occupancy != 1)
        raise InputError(f"atom {atom} is partially occupied", field="elements")
    numbers = []
    for atom, symbol in enumerate(symbols):
        letters = re.match("[A-Z][a-z]?", symbol)
        if letters is None or letters[0] not in _Z_OF:
            raise InputError(f"atom {atom}: unknown element {symbol!r}", field="elements")
        numbers.append(_Z_OF[letters[0]])
    return Cell(lattice.matrix, list(zip(*frac, strict=True)), numbers)
