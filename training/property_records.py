"""Records of property values: what one record of a file says, or what is wrong with it.

A file is one JSON list of objects, as ``.json`` or gzipped as ``.json.gz``:

===============  ========================================================================
``id``           name, unique in the file; without one ``jid`` or the position is the name
``property``     short name of the property
``value``        its value, scaled to [-1, 1] over all records of the property
``split``        ``train`` or ``test``, optional; train where it is missing
``lattice``      3 x 3 row vectors in Å
``species``      N element symbols
``frac_coords``  N x 3 fractional coordinates
===============  ========================================================================

A record may hold several values, as in the cumulative files of the reference: instead of
``property`` and ``value``, ``OH`` with 0 or 1 for every property in the order of
``properties.json``, and ``prop_list`` with its value where that is 1. The structure may then, as
in any record, be ``atoms`` with ``lattice_mat``, ``coords`` and ``elements``, or ``structure`` as
pymatgen writes one. Other keys are not read.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, NamedTuple

from linegraph.errors import InputError
from linegraph.reading import cell_of_dict
from linegraph.structure import Cell

from .bands import check_sites
from .jsonfile import cell_of, fallback_name, kind, number, read_list, text
from .property_table import TABLE, unknown

SPLITS = ("train", "test")

#: Where the three parts of a :class:`Cell` are kept, in the order of ``_PARTS``.
_KEYS = ("lattice", "frac_coords", "species")
_ATOMS_KEYS = ("lattice_mat", "coords", "elements")
_PARTS = ("lattice", "coords", "elements")

#: So many bytes of a file are read to see what it holds: enough for a record of 10,000 atoms.
_HEAD = 1 << 20


class PropertyRecord(NamedTuple):
    """What a good record says.

    Attributes:
        place: the record in messages, ``'gv-12' (number 3)``.
        name: its id.
        cell: the structure.
        values: scaled value by property name; never empty.
        field: the field that holds them.
        split: ``train`` or ``test``.
    """

    place: str
    name: str
    cell: Cell
    values: dict[str, float]
    field: str
    split: str


class Entry(NamedTuple):
    """One record, good or bad.

    Attributes:
        properties: what it has values of, as it says itself; empty where that cannot be told.
        split: ``train`` or ``test``; of no meaning where ``properties`` is empty.
        found: the record, or what is wrong with it.
    """

    properties: tuple[str, ...]
    split: str
    found: PropertyRecord | InputError


def read_entries(path: Path, known: Sequence[str] | None) -> tuple[str, Iterator[Entry]]:
    """Read a file of property values.

    Args:
        path: a ``.json`` or ``.json.gz`` file.
        known: names of the properties, in the order of vectors; None if any name will do, and
            vectors cannot be read.

    Returns:
        The SHA-256 (hex) of the file, and its records in turn.

    Raises:
        InputError: the file as a whole cannot be read.
    """
    digest, records = read_list(path)
    return digest, _entries(records, path, known)


def is_property_file(path: Path) -> bool:
    """Whether the first record of a file is one of property values; False if it is unreadable."""
    # A pipe would be waited for.
    if not isfile(path):
        return False
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            head = stream.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
        if not head.startswith("["):
            return False
        first, _ = json.JSONDecoder().raw_decode(head[1:].lstrip())
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and ("property" in first or "prop_list" in first)


def _entries(records: list[Any], path: Path, known: Sequence[str] | None) -> Iterator[Entry]:
    positions: dict[str, int] = {}
    for position, record in enumerate(records, start=1):
        place, split = f"number {position}", ""
        marked: tuple[str, ...] = ()
        try:
            if not isinstance(record, dict):
                raise InputError(f"expected an object, got {kind(record)}")
            own = text(record, "id")
            if own:
                place = f"{own!r} (number {position})"
            name = own or fallback_name(record, position)
            split = _split(record)
            marked = _marked(record, known)
            values = _values(record, marked, known)
            cell = _structure(record)
            if name in positions:
                raise InputError(
                    f"same id as record number {positions[name]}", field="id" if own else "jid"
                )
            positions[name] = position
            field = "prop_list" if "OH" in record else "value"
            yield Entry(marked, split, PropertyRecord(place, name, cell, values, field, split))
        except InputError as error:
            yield Entry(marked, split, error.at(file=path, record=place))


def _split(record: dict[str, Any]) -> str:
    split = text(record, "split") or "train"
    if split not in SPLITS:
        raise InputError(f"expected train or test, got {split!r}", field="split")
    return split


def _marked(record: dict[str, Any], known: Sequence[str] | None) -> tuple[str, ...]:
    """The properties a record has values of."""
    name = text(record, "property")
    if "OH" not in record and "prop_list" not in record:
        if not name:
            raise InputError("missing", field="property")
        if known is not None and name not in known:
            raise InputError(unknown(name, known), field="property")
        return (name,)
    if name:
        raise InputError("give either this or OH and prop_list, not both", field="property")
    if known is None:
        raise InputError(f"a vector needs {TABLE} beside the file to name its columns", field="OH")
    marks = _vector(record, "OH", known)
    for column, mark in zip(known, marks, strict=True):
        if isinstance(mark, bool) or mark not in (0, 1):
            raise InputError(f"expected 0 or 1 for {column!r}, got {kind(mark)}", field="OH")
    marked = tuple(column for column, mark in zip(known, marks, strict=True) if mark)
    if not marked:
        raise InputError("no property is marked as known", field="OH")
    return marked


def _values(
    record: dict[str, Any], marked: Sequence[str], known: Sequence[str] | None
) -> dict[str, float]:
    if "OH" not in record:
        value = number(record.get("value"), "value")
        if value is None:
            raise InputError("missing", field="value")
        return {marked[0]: value}
    values = {}
    columns = known or ()
    for column, given in zip(columns, _vector(record, "prop_list", columns), strict=True):
        # Where nothing is known, files have 0, null or NaN.
        blank = given is None or given != given
        try:
            value = None if blank else number(given, "prop_list")
        except InputError as error:
            raise InputError(f"{column!r}: {error.problem}", field="prop_list") from None
        if column in marked:
            if value is None:
                raise InputError(
                    f"OH marks {column!r} as known, but its value is missing or NaN",
                    field="prop_list",
                )
            values[column] = value
        elif value:
            raise InputError(
                f"one-hot and targets disagree: {column!r} has the value {value:g}, "
                "but OH marks it as unknown",
                field="OH",
            )
    return values


def _vector(record: dict[str, Any], key: str, known: Sequence[str]) -> list[Any]:
    vector = record.get(key)
    if vector is None:
        raise InputError("missing", field=key)
    if not isinstance(vector, list):
        raise InputError(f"expected a list, got {kind(vector)}", field=key)
    if len(vector) != len(known):
        raise InputError(
            f"{len(vector)} entries for {len(known)} properties ({', '.join(known)})", field=key
        )
    return vector


def _structure(record: dict[str, Any]) -> Cell:
    if record.get("structure") is not None:
        return _from_pymatgen(record["structure"])
    holder, keys, inside = record, _KEYS, ""
    if record.get("atoms") is not None:
        holder, keys, inside = record["atoms"], _ATOMS_KEYS, "atoms."
        if not isinstance(holder, dict):
            raise InputError(f"expected an object, got {kind(holder)}", field="atoms")
    try:
        cell = cell_of(holder, keys)
        check_sites(cell)
    except InputError as error:
        key = dict(zip(_PARTS, keys, strict=True)).get(error.field or "", error.field)
        raise InputError(error.problem, field=f"{inside}{key}") from None
    return cell


def _from_pymatgen(structure: Any) -> Cell:
    if not isinstance(structure, dict):
        raise InputError(f"expected an object, got {kind(structure)}", field="structure")
    try:
        cell = cell_of_dict(structure)
        check_sites(cell)
    except InputError as error:
        raise error.at(field="structure") from None
    return cell
