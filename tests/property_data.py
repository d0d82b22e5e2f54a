"""A small made-up set of crystals with properties, and settings that train on it in a second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bands import TINY
from tests.property_sets import a_record

COUNT = 30

#: Positions of the crystals with values to train on and with values held out. Crystals 0 and 5
#: are held out for all that is known of them, 10, 12, 15, 17 and 29 for one of two properties.
TRAIN = {
    "bulk": [i for i in range(20) if i % 5],
    "gap": [i for i in range(10, 30) if i % 5 != 2],
    "rare": [3, 13, 23],
}
HELD_OUT = {
    "bulk": [i for i in range(20) if i % 5 == 0],
    "gap": [i for i in range(10, 30) if i % 5 == 2],
    "rare": [29],
}

#: One property has a scale; the file says nothing about how many values there are.
TABLE: list[dict[str, Any]] = [
    {"property": "bulk", "name": "bulk modulus", "unit": "GPa", "lo": 0.0, "hi": 50.0},
    {"property": "gap", "name": "band gap", "unit": "eV"},
    {"property": "rare"},
]

#: Recipe values of a pre-training: the sizes of :data:`tests.bands.TINY`, for bands to start from.
TINY_MPT = {
    **{key: value for key, value in TINY.items() if key != "split"},
    "batch_size": 8,
    "balance": "count",
    "loss": "l1",
    "lr": 0.01,
}

_PAIRS = (("Cs", "Cl"), ("Mg", "O"), ("Na", "I"), ("Fe", "Al"), ("Ti", "C"))


def value_of(name: str, i: int) -> float:
    """The value of a property of crystal ``i``, from -1 to 1, exact in single precision."""
    step = {"bulk": 3, "gap": 7, "rare": 11}.get(name, 5)
    return (step * i % 17 - 8) / 8


def some_records(
    name: str, positions: Sequence[int], split: str | None = None, shift: float = 0.0
) -> list[dict[str, Any]]:
    """Records of one property; of one position, records of all properties have one structure."""
    more = {} if split is None else {"split": split}
    return [
        a_record(
            f"{name}-{i}",
            name,
            value_of(name, i) + shift,
            2.8 + 0.05 * i,
            species=list(_PAIRS[i % len(_PAIRS)]),
            **more,
        )
        for i in positions
    ]


def property_folder(
    folder: Path,
    *,
    splits: bool = True,
    table: bool = True,
    shift: float = 0.0,
    more: Sequence[dict[str, Any]] = (),
) -> Path:
    """A data set in a folder of its own, one file a property.

    Args:
        folder: where; created.
        splits: records say which part they are of; without, there are the same records.
        table: with ``properties.json``.
        shift: added to the values that are held out.
        more: further records, in a file of their own.
    """
    folder.mkdir()
    for name in TRAIN:
        records = some_records(name, TRAIN[name], "train" if splits else None)
        records += some_records(name, HELD_OUT[name], "test" if splits else None, shift)
        (folder / f"{name}.json").write_text(json.dumps(records))
    if table:
        (folder / "properties.json").write_text(json.dumps(TABLE))
    if more:
        (folder / "more.json").write_text(json.dumps(more))
    return folder
