"""Small made-up sets of crystals with properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linegraph.errors import InputError
from training.properties import PropertySet, read_properties


def a_record(
    id_: str, property_: str, value: float, size: float = 4.0, **more: Any
) -> dict[str, Any]:
    """Two atoms in a cube; records of one size are of one structure."""
    return {
        "id": id_,
        "property": property_,
        "value": value,
        "lattice": [[size, 0.0, 0.0], [0.0, size, 0.0], [0.0, 0.0, size]],
        "species": ["Cs", "Cl"],
        "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
        **more,
    }


def a_vector(
    id_: str, marks: list[Any], values: list[Any], size: float = 4.0, **more: Any
) -> dict[str, Any]:
    record = a_record(id_, "", 0, size, OH=marks, prop_list=values, **more)
    del record["property"], record["value"]
    return record


#: Hard is for testing where soft is for training (size 4), and the other way round (size 6).
HARD = [
    a_record("h1", "hard", 0.5, 4.0, split="test"),
    a_record("h2", "hard", -0.5, 5.0),
    a_record("h3", "hard", 0.25, 6.0, split="train"),
]
SOFT = [
    a_record("s1", "soft", 1, 6.0, split="test"),
    a_record("s2", "soft", -1.0, 4.0),
    a_record("s3", "soft", 0.0, 7.0, split="test"),
]
TABLE: list[dict[str, Any]] = [
    {
        "index": 1,
        "property": "hard",
        "name": "hardness",
        "unit": "GPa",
        "lo": 10,
        "hi": 30,
        "n_train": 2,
        "n_test": 1,
    },
    {"index": 0, "property": "soft", "lo": None, "hi": None, "n_train": 1, "n_test": 2},
]


def written(folder: Path, table: Any = None, **files: Any) -> Path:
    """A folder ``set`` with one file of records per keyword."""
    folder = folder / "set"
    folder.mkdir(exist_ok=True)
    if table is not None:
        (folder / "properties.json").write_text(json.dumps(table))
    for name, records in files.items():
        (folder / f"{name}.json").write_text(json.dumps(records))
    return folder


def values_of(found: PropertySet) -> dict[str, dict[str, float]]:
    return {crystal.name: crystal.values for crystal in found.crystals}


def message_of(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_properties(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
