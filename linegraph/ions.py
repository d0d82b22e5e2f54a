"""What a formula says of an element in it: anion or not, how large, how charged."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .elements import SYMBOLS
from .warned import warnings_as

#: An element is an anion in a compound if its electronegativity (Pauling) is above the first
#: number and less than the second one below the largest in the compound. So iodine beside oxygen
#: (Na3OI) is one; sulphur, carbon and selenium beside oxygen (sulphates, carbonates) are not.
ANION_FROM, ANION_WITHIN = 2.5, 0.8


class Species(NamedTuple):
    """An element in a compound; NaN where the tables have no value.

    Attributes:
        electronegativity: Pauling's.
        radius: mean of the tabulated ionic radii of its sign, else the atomic radius, Å.
        charge: the most common oxidation state.
        row: of the periodic table.
    """

    electronegativity: float
    radius: float
    charge: float
    row: float


@cache
def species_of(z: int, *, anion: bool) -> Species:
    """Properties of the element with atomic number ``z``, from pymatgen's tables."""
    from pymatgen.core import Element

    element = Element(SYMBOLS[z - 1])
    with warnings_as("ignore"):  # noble gases have no electronegativity, and it says so
        ionic = element.average_anionic_radius if anion else element.average_cationic_radius
        states = element.common_oxidation_states
        return Species(
            electronegativity=float(element.X),
            radius=float(ionic or element.atomic_radius or np.nan),
            charge=float(states[0]) if states else float("nan"),
            row=float(element.row),
        )


def is_anion(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which atoms ``[N]`` of a compound are anions; those of one element all are or are not."""
    known = {z: species_of(z, anion=False).electronegativity for z in set(numbers.tolist())}
    values = np.nan_to_num(np.array([known[int(z)] for z in numbers]))
    largest = values.max()
    within: NDArray[np.bool_] = values >= max(ANION_FROM, largest - ANION_WITHIN)
    within |= values == largest
    return within


@cache
def bond_valence_length(a: int, b: int) -> float:
    """Length R0 (Å) of a bond of valence one between two elements; NaN where it is not known.

    Source: O'Keeffe and Brese, J. Am. Chem. Soc. 113, 3226 (1991), equation 3.
    """
    from pymatgen.analysis.bond_valence import BV_PARAMS
    from pymatgen.core import Element

    try:
        first, second = (BV_PARAMS[Element(SYMBOLS[z - 1])] for z in (a, b))
    except KeyError:
        return float("nan")
    r1, c1, r2, c2 = first["r"], first["c"], second["r"], second["c"]
    return float(r1 + r2 - r1 * r2 * (c1**0.5 - c2**0.5) ** 2 / (c1 * r1 + c2 * r2))
