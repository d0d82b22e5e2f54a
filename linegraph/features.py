"""The 92 numbers that describe an element."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import torch
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
def _table() -> Tensor:
    table = torch.zeros(MAX_Z + 1, NUM_FEATURES)
    with (files(__package__) / "data" / "elements.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            start = 0
            for name, width in CLASSES.items():
                if row[name]:  # empty where the property is not known for the element
                    table[int(row["z"]), start + int(row[name])] = 1.0
                start += width
            last = int(row["z"])
    # The published table ends at fermium; heavier elements share its vector there.
    table[last + 1 :] = table[last]
    return table


def element_features() -> Tensor:
    """One-hot classes of nine properties of every element, ``[104, 92]``; row = atomic number.

    Row 0 is unused (zeros). ``linegraph/data/elements.csv`` holds the class numbers.

    Source: Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), Table I, as tabulated by
    jarvis-tools under the name "cgcnn".
    """
    return _table().clone()
