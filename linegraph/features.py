"""The 92 numbers that describe an element."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .structure import MAX_Z

#: Number of classes of each property, in the order of the table's columns.
CLASSES = {
    "group": 19,
    "period": 7,
    "electronegativity": 10,
    "covalent_radius": 10,
    "valence_electrons": 12,
    "first_ionization": 10,
    "electron_affinity": 10,
    "block": 4,
    "atomic_volume": 10,
}

#: Length of an element's vector.
NUM_FEATURES = sum(CLASSES.values())


@cache
def _classes() -> NDArray[np.float64]:
    classes = np.full((MAX_Z + 1, len(CLASSES)), np.nan)
    with (files(__package__) / "data" / "elements.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            last = int(row["z"])
            # Empty where the property is not known for the element.
            classes[last] = [float(row[name] or "nan") for name in CLASSES]
    # The published table ends at fermium; heavier elements share its classes there.
    classes[last + 1 :] = classes[last]
    return classes


def element_classes() -> NDArray[np.float64]:
    """Class numbers of nine properties of every element, ``[104, 9]``; row = atomic number.

    Columns are those of :data:`CLASSES`. NaN where a property is not known for an element, and in
    row 0, which is unused.

    Source: as for :func:`element_features`.
    """
    return _classes().copy()


@cache
def _table() -> NDArray[np.float32]:
    table = np.zeros((MAX_Z + 1, NUM_FEATURES), dtype=np.float32)
    start = 0
    for column, width in zip(_classes().T, CLASSES.values(), strict=True):
        (known,) = np.nonzero(~np.isnan(column))
        table[known, start + column[known].astype(np.int64)] = 1.0
        start += width
    return table


def element_features() -> Tensor:
    """One-hot classes of nine properties of every element, ``[104, 92]``; row = atomic number.

    Row 0 is unused (zeros). ``linegraph/data/elements.csv`` holds the class numbers. It is made in
    float32 on the current device: within ``torch.device("meta")`` it has no numbers.

    Source: Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), Table I, as tabulated by
    jarvis-tools under the name "cgcnn".
    """
    # Kept as an array, since what is kept must not depend on the device of the first call.
    return torch.tensor(_table())
