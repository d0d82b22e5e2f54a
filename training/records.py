"""Bands in the published JSON format: reading them, checking them, writing them.

The format is one list of objects, as ``.json`` or gzipped as ``.json.gz``:

=============  ==========================================================================
``sys_name``   name, unique in the file; without one ``jid`` or the position is the name
``target``     migration barrier E_m in eV; absent or null where it is not known
``atoms``      ``lattice_mat`` 3 x 3 row vectors in Å, ``coords`` N x 3 (fractional; Å if
               ``cartesian`` is true), ``elements`` N symbols; atoms 0..4 are the images
``atoms_ini``  instead of ``atoms``, together with ``atoms_fin``: the initial and the final
               structure alone, of the same form; atom 0 is the migrating ion
``class``      material class, optional
``system``     the compound, optional: by default the name without its pathway number
``source``     where the barrier comes from, optional
=============  ==========================================================================

Other keys (``formula``, ``abc``, ``angles``, ``props``) are written for other readers but not read.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from linegraph.atomic_files import replacing
from linegraph.elements import SYMBOLS
from linegraph.ends import Ends
from linegraph.errors import InputError
from linegraph.structure import Cell
from linegraph.unwrapping import unwrapped

from .bands import Band, barrier, check_band, check_ends
from .jsonfile import ENDINGS, cell_of, fallback_name, kind, number, read_list, text

#: Keys of the structures in a record, by what the fields of each start with in errors.
_STRUCTURES = {"": "atoms", "initial.": "atoms_ini", "final.": "atoms_fin"}

#: Where the fields of a :class:`Cell`, and of those in :class:`Ends`, come from in a record.
_FIELDS = {
    f"{part}{field}": f"{structure}.{key}"
    for part, structure in _STRUCTURES.items()
    for field, key in {
        "lattice": "lattice_mat",
        "coords": "coords",
        "elements": "elements",
        "cartesian": "cartesian",
    }.items()
}


def read_records(path: Path) -> tuple[str, Iterator[Band | InputError]]:
    """Read a file in the published format.

    Args:
        path: a ``.json`` or ``.json.gz`` file.

    Returns:
        The SHA-256 (hex) of the file, and for every record in turn its band or what is wrong
        with it. Records are named by ``sys_name`` and position, counted from 1.

    Raises:
        InputError: the file as a whole cannot be read.
    """
    digest, records = read_list(path)
    return digest, _bands(records, path)


def write_bands(path: str | Path, bands: Iterable[Band]) -> None:
    """Write bands in the published format, all of them or, if anything fails, none.

    Args:
        path: the file to write, ending in ``.json`` or ``.json.gz``; one that exists is replaced.
        bands: what to write. ``read_bands`` gives them back unchanged to the last digit.

    Raises:
        InputError: another ending, two bands of one name, a target that is NaN, negative or too
            high (:func:`training.bands.barrier`), or a file that cannot be written.
    """
    path = bands_file(path)
    records: dict[str, dict[str, Any]] = {}
    for band in bands:
        if band.name in records:
            raise InputError("two bands have this name", file=path, record=repr(band.name))
        if band.target is not None and not math.isfinite(band.target):
            raise InputError("NaN or infinite", file=path, record=repr(band.name), field="target")
        try:
            barrier(band.target)
        except InputError as error:
            raise error.at(file=path, record=repr(band.name)) from None
        records[band.name] = _as_record(band, len(records))
    data = json.dumps(list(records.values()), allow_nan=False).encode()
    if path.suffix.lower() == ".gz":
        data = gzip.compress(data, mtime=0)  # without the time, equal bands are equal files
    with replacing(path) as partial:
        partial.write_bytes(data)


def bands_file(path: str | Path) -> Path:
    """The path of a file that bands can be written to.

    Raises:
        InputError: another ending than ``.json`` or ``.json.gz``.
    """
    path = Path(path)
    if not path.name.lower().endswith(ENDINGS):
        raise InputError("the name must end in .json or .json.gz", file=path)
    return path


def system_of(name: str) -> str:
    """The compound a record belongs to: its name without the pathway number.

    Published names number the pathways of one compound: ``LiCoO2_1`` and ``LiCoO2_2`` are of the
    system ``LiCoO2``, and ``TiO2_Li`` is a system of its own.
    """
    return re.sub(r"(?<=.)_[0-9]+\Z", "", name)


def _bands(records: list[Any], path: Path) -> Iterator[Band | InputError]:
    numbers: dict[str, int] = {}
    for position, record in enumerate(records, start=1):
        place = f"number {position}"
        try:
            if not isinstance(record, dict):
                raise InputError(f"expected an object, got {kind(record)}")
            sys_name = text(record, "sys_name")
            if sys_name:
                place = f"{sys_name!r} (number {position})"
            band = _band(record, sys_name or fallback_name(record, position))
            if band.name in numbers:
                field = "sys_name" if sys_name else "jid"
                raise InputError(f"same name as record number {numbers[band.name]}", field=field)
            numbers[band.name] = position
            yield band
        except InputError as error:
            where = _FIELDS.get(error.field or "", error.field)
            yield InputError(error.problem, file=path, record=place, field=where)


def _band(record: dict[str, Any], name: str) -> Band:
    target = barrier(number(record.get("target"), "target"))
    return Band(
        name=name,
        cell=_structure(record),
        target=target,
        system=text(record, "system") or system_of(name),
        family=text(record, "class"),
        source=text(record, "source"),
    )


def _structure(record: dict[str, Any]) -> Cell | Ends[Cell]:
    given = [key for key in _STRUCTURES.values() if record.get(key) is not None]
    if not given:
        raise InputError("missing, and so are atoms_ini and atoms_fin", field="atoms")
    if "atoms" not in given:
        ends = Ends(_cell(record, "initial."), _cell(record, "final."))
        check_ends(ends)
        return ends
    if len(given) > 1:
        # A model that looks at the ends could take either, and they may differ.
        raise InputError("give either this or atoms_ini and atoms_fin, not both", field="atoms")
    cell = _cell(record, "")
    check_band(cell)
    return unwrapped(cell)


def _cell(record: dict[str, Any], part: str) -> Cell:
    key = _STRUCTURES[part]
    atoms = record.get(key)
    if atoms is None:
        raise InputError("missing", field=key)
    if not isinstance(atoms, dict):
        raise InputError(f"expected an object, got {kind(atoms)}", field=key)
    try:
        return cell_of(atoms)
    except InputError as error:
        raise InputError(error.problem, field=f"{part}{error.field}") from None


def _as_record(band: Band, position: int) -> dict[str, Any]:
    elements = _symbols(band.structures[0])
    record: dict[str, Any] = {
        "jid": position,
        "sys_name": band.name,
        "class": band.family,
        "formula": " ".join(f"{s}{elements.count(s)}" for s in dict.fromkeys(elements)),
    }
    if band.target is not None:
        record["target"] = float(band.target)
    # Only where it says more than the name does: the published files have neither key.
    if band.system not in ("", system_of(band.name)):
        record["system"] = band.system
    if band.source:
        record["source"] = band.source
    keys = ("atoms_ini", "atoms_fin") if isinstance(band.cell, Ends) else ("atoms",)
    for key, cell in zip(keys, band.structures, strict=True):
        record[key] = _as_atoms(cell)
    return record


def _as_atoms(cell: Cell) -> dict[str, Any]:
    lengths = np.linalg.norm(cell.lattice, axis=1)
    unit = cell.lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    return {
        "lattice_mat": cell.lattice.tolist(),
        "coords": cell.frac.tolist(),
        "elements": _symbols(cell),
        "abc": lengths.round(6).tolist(),
        "angles": np.degrees(np.arccos(np.clip(cosines, -1, 1))).round(4).tolist(),
        "cartesian": False,
        "props": [""] * len(cell),
    }


def _symbols(cell: Cell) -> list[str]:
    return [SYMBOLS[z - 1] for z in cell.numbers]
