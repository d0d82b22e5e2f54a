"""What a CIF says of its sites: elements, places, and that each is fully occupied."""

from __future__ import annotations

import re
from typing import Any

from .elements import SYMBOLS
from .errors import InputError
from .formulas import Z_OF_NUCLIDE

#: A CIF as pymatgen's tokeniser has it: names, and a value or those of a column of a loop.
Data = dict[str, Any]

# A mass number, then letters.
_NUCLIDE = re.compile(r"\d*([A-Za-z]+)")

# Labels that are no atom, or more than one: water, vacancies, dummies, any tetrahedral cation.
_NO_ATOM = re.compile(r"wat|va|du|t\d", re.IGNORECASE)


def column(data: Data, name: str) -> list[str]:
    """The values of a name, in a loop or alone; none if it is not there."""
    values = data.get(name, [])
    return [values] if isinstance(values, str) else [str(value) for value in values]


def is_said(value: str) -> bool:
    """Whether a value is one, and not a mark of CIF for an unknown or a senseless one."""
    return value.strip() not in ("", "?", ".")


def places_of(data: Data) -> list[tuple[float, ...]]:
    """Fractional coordinates of the sites as they are given, not wrapped.

    Raises:
        KeyError: an axis is missing.
        ValueError: a coordinate is no number, or one column is shorter than another.
    """
    from pymatgen.io.cif import str2float

    axes = []
    for name in (f"_atom_site_fract_{axis}" for axis in "xyz"):
        if name not in data:
            raise KeyError(name)
        values = column(data, name)
        for atom, value in enumerate(values):
            if value == ".":  # pymatgen makes it 0
                raise ValueError(f"atom {atom} has no coordinates")
        axes.append([float(str2float(value)) for value in values])
    return list(zip(*axes, strict=True))


def elements_of(data: Data) -> list[int]:
    """Atomic numbers of the sites, one for each; isotopes are those of their element.

    Raises:
        InputError: an unknown element, a site that is not fully occupied, or hydrogen that is
            said to be there without a place.
        KeyError: neither elements nor labels are given.
    """
    symbols = column(data, "_atom_site_type_symbol")
    if symbols:
        numbers = [_of_symbol(atom, symbol) for atom, symbol in enumerate(symbols)]
    elif "_atom_site_label" in data:
        labels = column(data, "_atom_site_label")
        numbers = [_of_label(atom, label) for atom, label in enumerate(labels)]
    else:
        raise KeyError("_atom_site_label")
    _check_occupied(data)
    return numbers


def plain_symbols(data: Data, numbers: list[int]) -> list[str]:
    """Elements of the sites as pymatgen cannot misread them, with their charges if given."""
    plain = [SYMBOLS[number - 1] for number in numbers]
    given = column(data, "_atom_site_type_symbol") or plain
    return [
        symbol if re.fullmatch(rf"{element}[\d.]*[+-]?", symbol) else element
        for symbol, element in zip(given, plain, strict=True)
    ]


def _of_symbol(atom: int, symbol: str) -> int:
    found = _NUCLIDE.match(symbol)
    # A capital further behind is that of another element: FeNi, Fe0.5Mn0.5.
    if found and not re.search("[A-Z]", symbol[found.end() :]):
        number = Z_OF_NUCLIDE.get(found[1].title())
        if number is not None:
            return number
    raise InputError(f"atom {atom}: unknown element {symbol!r}", field="elements")


def _of_label(atom: int, label: str) -> int:
    """Labels go on with anything after the element: ``Li1``, ``LI1``, ``OW1``, ``Oa``."""
    found = None if _NO_ATOM.match(label) else _NUCLIDE.match(label)
    if found:
        for symbol in (found[1][:2].title(), found[1][0].upper()):
            if symbol in Z_OF_NUCLIDE:
                return Z_OF_NUCLIDE[symbol]
    raise InputError(f"atom {atom}: unknown element {label!r}", field="elements")


def _check_occupied(data: Data) -> None:
    from pymatgen.io.cif import str2float

    for atom, value in enumerate(column(data, "_atom_site_occupancy")):
        occupancy = str2float(value) if is_said(value) else 1.0
        if occupancy == 0:
            raise InputError(f"atom {atom} has occupancy 0", field="elements")
        if occupancy != 1:
            raise InputError(f"atom {atom} is partially occupied", field="elements")
    for atom, value in enumerate(column(data, "_atom_site_attached_hydrogens")):
        if is_said(value) and str2float(value) != 0:
            raise InputError(f"atom {atom} has hydrogens without coordinates", field="elements")
