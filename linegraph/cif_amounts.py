"""Whether a CIF has the atoms that it says it has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from .cif_sites import Data, column, is_said
from .errors import InputError
from .formulas import Formula, agrees, formula_of, parsed_formula

#: The images of a path; a formula may count their ion once.
IMAGES = 5

_MULTIPLICITIES = (
    "_atom_site_symmetry_multiplicity",
    "_atom_site_site_symmetry_multiplicity",
)


def check_listed(data: Data, numbers: Sequence[int]) -> None:
    """Compare atoms that are all listed with the formula, if there is one.

    Args:
        data: the CIF.
        numbers: atomic numbers of the atoms.

    Raises:
        InputError: they are in other ratios; also if the first five count as one atom.
    """
    formula = _formula(data)
    if formula and not any(agrees(atoms, formula) for atoms in _countings(numbers)):
        raise _differ(data, numbers, "lists")


def check_unsaid(data: Data, numbers: Sequence[int]) -> None:
    """Compare sites of which no symmetry is said with all that can tell that atoms are missing.

    Raises:
        InputError: sites stand for several atoms, or the number of atoms is no multiple of that
            of the formula units.
    """
    if any(multiplicity > 1 for multiplicity in _multiplicities(data) or []):
        raise InputError(
            "lists no symmetry operations, but gives its sites multiplicities above 1, so that "
            "atoms are missing"
        )
    units = _units(data) or 1
    if all(len(atoms) % units for atoms in _countings(numbers)):
        raise InputError(
            f"lists no symmetry operations, and its {len(numbers)} sites cannot be {units} "
            "formula units (_cell_formula_units_Z)"
        )


def check_made(data: Data, sites: Sequence[int], numbers: Sequence[int]) -> None:
    """Compare atoms that symmetry made with the formula, or else with the multiplicities.

    Args:
        data: the CIF.
        sites: atomic numbers of its sites.
        numbers: atomic numbers of the atoms.

    Raises:
        InputError: they are in other ratios.
    """
    formula = _formula(data)
    if formula is not None:
        if not agrees(numbers, formula):
            raise _differ(data, numbers, "has by its symmetry")
        return
    given = _multiplicities(data)
    # A column of equal numbers is what some programs fill in.
    if given is None or len(given) != len(sites) or len(set(given)) == 1:
        return
    # Older programs give the order of the site's own group, by which it is divided.
    for weights in (given, [1 / one for one in given]):
        amounts: dict[int, float] = defaultdict(float)
        for number, weight in zip(sites, weights, strict=True):
            amounts[number] += weight
        if agrees(numbers, {z: (amount, 1e-6 * amount) for z, amount in amounts.items()}):
            return
    raise InputError(
        f"has {formula_of(numbers)} by its symmetry, but other multiplicities of its sites; "
        "does it list or name the right operations?",
        field="elements",
    )


def has_units(data: Data, numbers: Sequence[int]) -> bool:
    """Whether atoms are as many formula units as the file says, with a formula of whole numbers."""
    formula, units = _formula(data), _units(data)
    if formula is None or units is None:
        return False
    return len(numbers) == units * sum(amount for amount, _ in formula.values())


def _units(data: Data) -> int | None:
    given = column(data, "_cell_formula_units_Z")
    return int(given[0]) if given and re.fullmatch("[1-9][0-9]{0,5}", given[0]) else None


def _countings(numbers: Sequence[int]) -> list[Sequence[int]]:
    """The atoms, and those of a band with its images counted as one."""
    one_ion = len(numbers) > IMAGES and len(set(numbers[:IMAGES])) == 1
    return [numbers, numbers[IMAGES - 1 :]] if one_ion else [numbers]


def _formula(data: Data) -> Formula | None:
    text = column(data, "_chemical_formula_sum")
    return parsed_formula(text[0]) if text else None


def _differ(data: Data, numbers: Sequence[int], how: str) -> InputError:
    (text,) = column(data, "_chemical_formula_sum")[:1]
    return InputError(
        f"{how} {formula_of(numbers)}, but its _chemical_formula_sum is {text!r}", field="elements"
    )


def _multiplicities(data: Data) -> list[float] | None:
    for name in _MULTIPLICITIES:
        values = column(data, name)
        if values and all(is_said(value) for value in values):
            try:
                found = [float(value) for value in values]
            except ValueError:
                return None
            return found if all(one > 0 for one in found) else None
    return None
