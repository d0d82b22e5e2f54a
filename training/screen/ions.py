"""Which ion hops, where a folder has compounds of several."""

from __future__ import annotations

from linegraph.elements import Z_OF
from linegraph.errors import InputError
from linegraph.structure import Cell


def checked_ions(ion: str | None) -> str | None:
    """One element, or several with commas in between, without spaces.

    Raises:
        InputError: one of them is no element.
    """
    if ion is None:
        return None
    names = [name.strip() for name in ion.split(",")]
    for name in names:
        if name not in Z_OF:
            raise InputError(f"{name!r} is no element", field="ion")
    return ",".join(names)


def ion_in(cell: Cell, ion: str | None) -> str | None:
    """The ion of a crystal: the only one named, or the first of several that is there.

    Args:
        cell: the crystal.
        ion: what :func:`checked_ions` returns.

    Raises:
        InputError: none of several is there.
    """
    if ion is None or "," not in ion:
        return ion
    names = ion.split(",")
    for name in names:
        if Z_OF[name] in cell.numbers:
            return name
    raise InputError(f"none of {', '.join(names)} is in the structure", field="ion")
