"""What is known of a record without any model, for parting errors by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linegraph.ends import Ends
from linegraph.paths import IMAGES
from linegraph.structure import Cell
from training.bands import Band
from training.data import compound_of, hop_length, ion_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """Of one record.

    Attributes:
        position: in the data set.
        ion: element of atom 0.
        family: material class, empty if unknown.
        system: the compound.
        atoms: in the structure that is given: five images or one ion included.
        hop: length of the hop in Å (:func:`training.data.hop_length`).
        target: E_m in eV, or None.
    """

    position: int
    ion: str
    family: str
    system: str
    atoms: int
    hop: float
    target: float | None


def facts_of(bands: Sequence[Band]) -> dict[str, Facts]:
    """The facts of each record, by its name."""
    return {
        band.name: Facts(
            position=position,
            ion=ion_of(band),
            family=band.family,
            system=compound_of(band),
            atoms=len(band.structures[0]),
            hop=hop_length(band),
            target=band.target,
        )
        for position, band in enumerate(bands)
    }


def path_of(given: Cell | Ends[Cell]) -> FloatArray:
    """Fractional coordinates ``[5, 3]`` of the images of the ion, not wrapped.

    Between two ends they lie on the straight line from atom 0 of one to atom 0 of the other.
    """
    if not isinstance(given, Ends):
        return given.frac[:IMAGES]
    start, end = given.initial.frac[0], given.final.frac[0]
    line: FloatArray = start + np.linspace(0.0, 1.0, IMAGES)[:, None] * (end - start)
    return line
