"""The symmetry operations of a CIF, whether it lists them or names their group."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cif_sites import Data, column, is_said
from .errors import InputError
from .spacegroups import operations_by_hall, settings_by_name, settings_by_number

#: The largest space groups have so many in their conventional cell.
OPERATIONS = 192

#: A cell may be as much out of the metric of its group (relative, or radians).
MISFIT = 0.02

_LISTED = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_CENTERING = "_space_group_symop_magn_centering_xyz"
_HALL = re.compile("_hall$")
_NAME = re.compile("_name_h[-_]m")
_NUMBER = re.compile("_number$")


def operations_of(data: Data, lattice: NDArray[np.float64]) -> list[list[str]]:
    """The operations on fractional coordinates, ``-x+1/2, -y, z+1/2``, in each possible setting.

    As they are listed, else those of the Hall symbol, else those of the Hermann-Mauguin name or
    the number of the space group, which may be those of two origins. Of a magnetic structure they
    are those of its nuclei.

    Args:
        data: the CIF.
        lattice: ``[3, 3]``, rows are the lattice vectors in Å.

    Returns:
        Several where only the group is named, and the name is that of several settings that fit the
        cell; none if the file says nothing of symmetry.

    Raises:
        InputError: it says something from which no operations follow, or a group of another
            kind of cell.
        ValueError: a listed operation cannot be read.
    """
    said = _said(data)
    listed = _listed(said)
    if listed:
        return [listed]
    named = _named(data, said)
    fitting = [operations for operations in named if _fit(operations, lattice)]
    if named and not fitting:
        raise InputError(
            "names a space group and lists no operations; those of the group do not fit the cell"
        )
    return fitting


def _named(data: Data, said: dict[str, list[str]]) -> list[list[str]]:
    for values in (values for name, values in said.items() if _HALL.search(name)):
        if operations := operations_by_hall(values[0]):
            return [operations]
    # A number stands for more settings than a name.
    for pattern, settings in ((_NAME, settings_by_name), (_NUMBER, settings_by_number)):
        for values in (values for name, values in said.items() if pattern.search(name)):
            if found := settings(values[0]):
                return found
        if operations := _by_pymatgen(data, pattern):
            return [operations]
    for name, values in said.items():
        if values[0].lower() != "triclinic":
            raise InputError(
                f"lists no symmetry operations, and none are known for {name} {values[0]!r}"
            )
    return []


def is_identity(operations: list[str]) -> bool:
    """Whether the only operation is ``x, y, z``, so that all atoms are listed.

    Raises:
        InputError: one is none of a crystal, or ``x, y, z`` is not among them.
        ValueError: one cannot be read.
    """
    from pymatgen.core.operations import SymmOp

    matrices = [SymmOp.from_xyz_str(one).affine_matrix for one in operations]
    for one, matrix in zip(operations, matrices, strict=True):
        if not np.isclose(abs(np.linalg.det(matrix)), 1):
            raise InputError(f"lists {one!r}, which is no symmetry operation")
    if not any(np.allclose(matrix, np.eye(4)) for matrix in matrices):
        raise InputError("lists symmetry operations, but not x, y, z, which is always one")
    return len(operations) == 1


def _said(data: Data) -> dict[str, list[str]]:
    """What is said of symmetry; names as in the old dictionary, whatever their spelling."""
    found = {}
    for key in data:
        name = key.lower().replace(".", "_").rstrip("_")
        values = [value for value in column(data, key) if is_said(value) and value != "0"]
        if name.startswith(("_symmetry_", "_space_group_")) and values and name[-3:] != "_id":
            found[name] = values
    return found


def _listed(said: dict[str, list[str]]) -> list[str]:
    listed = [one.rsplit(",", 1)[0] for one in said.get(_MAGNETIC, [])]  # without time reversal
    for name in _LISTED:
        listed = listed or said.get(name, [])
    if len(listed) > OPERATIONS:
        raise InputError(f"lists more than {OPERATIONS} symmetry operations, as no space group has")
    if centering := said.get(_CENTERING, []) if _MAGNETIC in said else []:
        listed = _centered(listed, [one.rsplit(",", 1)[0] for one in centering])
    return listed


def _centered(operations: list[str], centering: list[str]) -> list[str]:
    from pymatgen.core.operations import SymmOp

    # A magnetic cell may hold several cells of the crystal, but not so many.
    if len(operations) * len(centering) > 4 * OPERATIONS:
        raise InputError("lists more magnetic symmetry operations than any group has")
    shifts = [SymmOp.from_xyz_str(one) for one in centering]
    every = [SymmOp.from_xyz_str(one) for one in operations]
    made = dict.fromkeys(str((shift * one).as_xyz_str()) for one in every for shift in shifts)
    return list(made)


def _fit(operations: list[str], lattice: NDArray[np.float64]) -> bool:
    """Whether operations turn lattice vectors into such of the same lengths and angles."""
    from pymatgen.core.operations import SymmOp

    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    turns = [SymmOp.from_xyz_str(one).rotation_matrix for one in operations]
    changes = [(turn.T @ metric @ turn - metric) / np.outer(lengths, lengths) for turn in turns]
    return bool(np.abs(changes).max() < MISFIT)


def _by_pymatgen(data: Data, which: re.Pattern[str]) -> list[str]:
    """Its tables know names that are not in the standard, and one setting for each; else none."""
    from pymatgen.io.cif import CifBlock, CifParser

    # It would take a Hall symbol for a name: P 2 has another axis in either.
    said = {
        key: column(data, key)[0]
        for key in data
        if key.startswith(("_symmetry_", "_space_group_"))
        and which.search(key.lower().rstrip("_"))
        and column(data, key)
    }
    parser: Any = CifParser.from_str("data_x\n_x 1\n")
    operations = parser.get_symops(CifBlock(said, [], "x"))
    if any("Defaulting to P1" in warning for warning in parser.warnings):
        return []
    return [str(one.as_xyz_str()) for one in operations]
