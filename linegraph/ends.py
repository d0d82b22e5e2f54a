"""The two ends of a hop, where the path between them is not given."""

from __future__ import annotations

from collections import Counter
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .elements import SYMBOLS
from .errors import InputError
from .reading import as_cell
from .structure import Cell
from .unwrapping import shortest_ways

S = TypeVar("S")


class Ends(NamedTuple, Generic[S]):
    """The structures before and after a hop, in place of a band.

    Cut from a band, both ends would share one cell and one host. Given on their own, each may have
    been relaxed by itself. No model pairs their atoms, so only atom 0 has to be the same in both.

    Attributes:
        initial: the structure before the hop (anything :func:`linegraph.crystal_graph` takes);
            atom 0 is the migrating ion.
        final: the same atoms after the hop.
    """

    initial: S
    final: S


def as_ends(ends: Ends[Any]) -> Ends[Cell]:
    """Read both ends and check that one may have become the other.

    Raises:
        InputError: an unusable structure, or ends that differ in composition or in the element of
            atom 0. The field starts with ``initial`` or ``final``.
    """
    initial, final = _read(ends.initial, "initial"), _read(ends.final, "final")
    before, after = _composition(initial), _composition(final)
    if before != after:
        raise InputError(
            f"made of {after}, but the initial structure of {before}", field="final.elements"
        )
    first, last = (SYMBOLS[cell.numbers[0] - 1] for cell in (initial, final))
    if first != last:
        raise InputError(
            f"atom 0, the migrating ion, is {last}, but {first} in the initial structure",
            field="final.elements",
        )
    return Ends(initial, final)


def shortest_hop(ends: Ends[Cell]) -> NDArray[np.float64]:
    """Where atom 0 goes, by the shortest way: ``[3]`` fractional, of the initial lattice.

    Two structures do not tell which periodic image the ion hops to, and published final ones name
    any; a band, whose images lie along the path, does tell. Of several ways as short, it is the one
    whose fractions come first by size.
    """
    hop = ends.final.frac[0] - ends.initial.frac[0]
    shortest: NDArray[np.float64] = hop + shortest_ways(hop[None], ends.initial.lattice)[0]
    return shortest


def _read(structure: Any, end: str) -> Cell:
    try:
        return as_cell(structure)
    except InputError as error:
        field = f"{end}.{error.field}" if error.field else end
        raise InputError(error.problem, file=error.file, field=field) from None


def _composition(cell: Cell) -> str:
    counts = Counter(cell.numbers.tolist())
    return " ".join(f"{SYMBOLS[z - 1]}{counts[z]}" for z in sorted(counts))
