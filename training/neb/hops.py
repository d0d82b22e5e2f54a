"""Barriers of a table that belong to the hops of a crystal."""

from __future__ import annotations

from collections.abc import Sequence

from linegraph.errors import InputError
from linegraph.hops import Hop
from training.hops_command import band_name

from .table import LENGTH, NebTable

#: Å; a hop of the same name and of a length this near is the same hop.
_SAME = 0.005


def barriers_of_hops(table: NebTable, formula: str, hops: Sequence[Hop]) -> dict[str, float]:
    """The barriers of a crystal's hops in eV, by their labels.

    In a table hops have the names that the command ``hops`` gives their bands. Another crystal of
    the same formula has the same names, and other options number other hops, so the lengths have to
    be the same, too.

    Args:
        table: of a run of ``neb`` on the bands that ``hops`` wrote.
        formula: of the crystal, reduced.
        hops: of the crystal, as found there.

    Raises:
        InputError: the table has names of the crystal's hops, but not their lengths, or others;
            the message names its file.
    """
    found: dict[str, float] = {}
    for number, hop in enumerate(hops, start=1):
        name = band_name(formula, number)
        if name not in table.barriers:
            continue
        if name not in table.lengths:
            raise InputError(
                f"does not tell the length of {name}, by which hops of a crystal are recognised: "
                "give the folder of a run of `neb`, or predict the bands that `hops --out` writes",
                file=table.path,
                field=LENGTH,
            )
        length = table.lengths[name]
        if abs(length - hop.length) > _SAME:
            raise InputError(
                f"{name} is a hop of {length:.3f} Å there, and {hop.label} one of "
                f"{hop.length:.3f} Å here: of another crystal, or found by other options",
                file=table.path,
                field=LENGTH,
            )
        found[hop.label] = table.barriers[name]
    return found
