"""Symmetry operations of a space group that is only named, from the tables of spglib."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

#: Settings of space groups that have a Hall symbol in the tables.
SETTINGS = 530

# ICSD names the two choices of origin by letters.
_CHOICES = {"S": "1", "Z": "2"}

# Lattice, and the axis or the plane; the full name says which direction has it.
_MONOCLINIC = re.compile("([pabci])(21?|[mabcn]|21?/[mabcn])")

# Names of groups before the symbol e for a double glide plane: P. M. de Wolff et al., Acta Cryst.
# A 48, 727 (1992).
_OLD = {"abm2": "aem2", "aba2": "aea2", "cmma": "cmme", "cmca": "cmce", "ccca": "ccce"}

# Cubic groups with an inversion, as they were written without a bar: Fd3m.
_OLD_CUBIC = re.compile("([pfi][mnabd])3([mncd]?)")


def operations_by_hall(symbol: str) -> list[str] | None:
    """The operations of a Hall symbol, which says the setting and the origin, too.

    Args:
        symbol: as in a CIF, ``-P 2ac 2n``.

    Returns:
        Operations on fractional coordinates (``-x+1/2, -y, z+1/2``), None for an unknown symbol.
    """
    # Spaces make a difference: P 32 has a screw axis, P 3 2 has none.
    number = _by_hall().get(_spaced(symbol))
    return None if number is None else _operations(number)


def settings_by_name(name: str) -> list[list[str]]:
    """The operations of each setting that has a Hermann-Mauguin name, short, full or old.

    Settings of one name are two origins, or axes that are only told apart by the cell or the atoms.
    A short monoclinic name is that of the setting with the axis along b, by convention.

    Args:
        name: as in a CIF, ``P 21/n 21/m 21/a``; the origin or the axes can follow: ``:1``,
            ``:2``, ``:H``, ``:R``, or with ICSD ``S``, ``Z``.
    """
    plain, choice = name.strip(), ""
    if found := re.fullmatch(r"(.+?)(?:\s*:\s*([12HR])|\s+([SZHR]))", plain):
        plain, choice = found[1], found[2] or found[3]
    joined = _joined(plain)
    joined = _OLD.get(joined, _OLD_CUBIC.sub(r"\1-3\2", joined))
    numbers = _by_name().get(joined, [])
    if found := _MONOCLINIC.fullmatch(joined):
        numbers = _by_name().get(f"{found[1]}1{found[2]}1", numbers)
    if choice:
        wanted = _CHOICES.get(choice, choice)
        numbers = [number for number in numbers if _setting(number).choice == wanted]
    return _distinct(numbers)


def settings_by_number(number: str) -> list[list[str]]:
    """The operations of a space group with its two origins, or on hexagonal and rhombohedral axes.

    Returns:
        None at all where it has neither: which of its settings is meant is a matter of convention.
    """
    choices = ("1", "2", "H", "R")
    numbers = [n for n in range(1, SETTINGS + 1) if str(_setting(n).number) == number.strip()]
    return _distinct([n for n in numbers if _setting(n).choice in choices])


def _distinct(numbers: list[int]) -> list[list[str]]:
    """Operations of settings, each group of them once."""
    return list({frozenset(one): one for one in map(_operations, numbers)}.values())


def _spaced(symbol: str) -> str:
    return " ".join(symbol.replace("_", " ").split()).lower()


def _joined(name: str) -> str:
    return re.sub(r"[\s_]", "", name).lower()


@cache
def _setting(number: int) -> Any:
    import spglib

    return spglib.get_spacegroup_type(number)


@cache
def _by_hall() -> dict[str, int]:
    return {_spaced(_setting(number).hall_symbol): number for number in range(1, SETTINGS + 1)}


@cache
def _by_name() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number in range(1, SETTINGS + 1):
        one = _setting(number)
        names = {one.international_short, one.international_full, *one.international.split("=")}
        for name in {_joined(name) for name in names}:
            found.setdefault(name, []).append(number)
    return found


def _operations(number: int) -> list[str]:
    import spglib
    from pymatgen.core.operations import SymmOp

    found: Any = spglib.get_symmetry_from_database(number)
    return [
        str(SymmOp.from_rotation_and_translation(rotation, translation).as_xyz_str())
        for rotation, translation in zip(found["rotations"], found["translations"], strict=True)
    ]
