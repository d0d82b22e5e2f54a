"""Properties and the file that lists them, ``properties.json``.

The file lies beside the records. It is one JSON list of objects:

============  ==========================================================================
``property``  short name, the one that records use
``index``     column of the property in vectors and in the output of a model, optional
              (in all objects or in none); by default the order of the list
``name``      what it is, for people, optional
``unit``      unit of the raw values, optional
``lo, hi``    raw values that became -1 and 1, optional: value = 2 (raw - lo)/(hi - lo) - 1
``n_train``   number of values to train on, optional; checked
``n_test``    number of values to test on, optional; checked
============  ==========================================================================

Other keys are not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from linegraph.errors import InputError

from .jsonfile import kind, number, read_list, text

#: The name of the file.
TABLE = "properties.json"


@dataclass(frozen=True)
class Property:
    """One output of a model of many properties.

    Attributes:
        name: short name, as in the records.
        title: what it is, for people; empty if unknown.
        unit: of the raw values; empty if unknown or if there is none.
        lo: the raw value that is -1 on the scale of the records, None where unknown.
        hi: the raw value that is 1 there.
    """

    name: str
    title: str = ""
    unit: str = ""
    lo: float | None = None
    hi: float | None = None

    @property
    def scale(self) -> float | None:
        """Raw units per unit of scaled value, None where unknown."""
        return None if self.lo is None or self.hi is None else (self.hi - self.lo) / 2


class Row(NamedTuple):
    """What the file says about one property.

    Attributes:
        property: the property.
        counts: how many values there are by ``train`` and ``test``, where it says so.
    """

    property: Property
    counts: dict[str, int]


def read_table(path: Path) -> tuple[str, list[Row]]:
    """Read ``properties.json``.

    Returns:
        The SHA-256 (hex) of the file, and its properties by ``index``.

    Raises:
        InputError: the file cannot be read, or says something that cannot be: a name or an index
            twice, ``hi`` not above ``lo``, values of the wrong type.
    """
    digest, listed = read_list(path)
    rows: dict[str, Row] = {}
    order: dict[int, str] = {}
    for position, entry in enumerate(listed, start=1):
        place = f"number {position}"
        try:
            if not isinstance(entry, dict):
                raise InputError(f"expected an object, got {kind(entry)}")
            name = text(entry, "property")
            if not name:
                raise InputError("missing", field="property")
            place = f"{name!r} (number {position})"
            if name in rows:
                raise InputError("listed twice", field="property")
            rows[name] = _row(entry, name)
            index = _whole(entry, "index")
            if index is None and order:
                raise InputError("missing, but others have one", field="index")
            if index is not None:
                if len(order) < position - 1:
                    raise InputError("given, but others have none", field="index")
                if index in order:
                    raise InputError(f"{index} is that of {order[index]!r} too", field="index")
                order[index] = name
        except InputError as error:
            raise error.at(file=path, record=place) from None
    names = [order[index] for index in sorted(order)] or list(rows)
    return digest, [rows[name] for name in names]


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say about the name of a property that is none."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = get_close_matches(name.lower(), lower, n=1)
    nearest = f"nearest is {lower[near[0]]!r}, " if near else ""
    return f"unknown property {name!r}; {nearest}known are {', '.join(known)}"


def _row(entry: dict[str, Any], name: str) -> Row:
    lo, hi = number(entry.get("lo"), "lo"), number(entry.get("hi"), "hi")
    if (lo is None) != (hi is None):
        raise InputError("missing, but the other end is given", field="lo" if lo is None else "hi")
    if lo is not None and hi is not None and hi <= lo:
        raise InputError(f"{hi:g} is not above lo, which is {lo:g}", field="hi")
    counts = {split: _whole(entry, f"n_{split}") for split in ("train", "test")}
    return Row(
        Property(name, text(entry, "name"), text(entry, "unit"), lo, hi),
        {split: count for split, count in counts.items() if count is not None},
    )


def _whole(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"expected a whole number, 0 or more, got {kind(value)}", field=key)
    return value
