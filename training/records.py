"""Bands in the published JSON format: reading them, checking them, writing them.

The format is one list of objects, as ``.json`` or gzipped as ``.json.gz``:

=============  ==========================================================================
``sys_name``   name, unique in the file; without one ``jid`` or the position is the name
``target``     migration barrier E_m in eV; absent or null where it is not known
``atoms``      ``lattice_mat`` 3 x 3 row vectors in Å, ``coords`` N x 3 (fractional; Å if
               ``cartesian`` is true), ``elements`` N symbols; atoms 0..4 are the images
``class``      material class, optional
``system``     the compound, optional: by default the name without its pathway number
``source``     where the barrier comes from, optional
=============  ==========================================================================

Other keys (``formula``, ``abc``, ``angles``, ``props``) are written for other readers but not read.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import SYMBOLS, Z_OF
from linegraph.errors import InputError
from linegraph.overlap import closest_pair
from linegraph.structure import Cell

from .bands import IMAGES, Band
from .files import replacing

#: How the names of files in this format end.
ENDINGS = (".json", ".json.gz")

#: Atoms nearer than this (Å) share a site. Published records hold doubled sites 0.014 Å apart.
OVERLAP = 0.01

#: Where the fields of a :class:`Cell` come from in a record.
_FIELDS = {
    "lattice": "atoms.lattice_mat",
    "coords": "atoms.coords",
    "elements": "atoms.elements",
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    return hashlib.sha256(data).hexdigest(), _bands(_records(data, path), path)


def write_bands(path: str | Path, bands: Iterable[Band]) -> None:
    """Write bands in the published format, all of them or, if anything fails, none.

    Args:
        path: the file to write, ending in ``.json`` or ``.json.gz``; one that exists is replaced.
        bands: what to write. ``read_bands`` gives them back unchanged to the last digit.

    Raises:
        InputError: another ending, two bands of one name, a target that is NaN or infinite, or a
            file that cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(ENDINGS):
        raise InputError("the name must end in .json or .json.gz", file=path)
    records: dict[str, dict[str, Any]] = {}
    for band in bands:
        if band.name in records:
            raise InputError("two bands have this name", file=path, record=repr(band.name))
        if band.target is not None and not math.isfinite(band.target):
            raise InputError("NaN or infinite", file=path, record=repr(band.name), field="target")
        records[band.name] = _as_record(band, len(records))
    data = json.dumps(list(records.values()), allow_nan=False).encode()
    if path.suffix.lower() == ".gz":
        data = gzip.compress(data, mtime=0)  # without the time, equal bands are equal files
    with replacing(path) as partial:
        partial.write_bytes(data)


def system_of(name: str) -> str:
    """The compound a record belongs to: its name without the pathway number.

    Published names number the pathways of one compound: ``LiCoO2_1`` and ``LiCoO2_2`` are of the
    system ``LiCoO2``, and ``TiO2_Li`` is a system of its own.
    """
    return re.sub(r"(?<=.)_[0-9]+\Z", "", name)


def check_band(cell: Cell) -> None:
    """Refuse a structure that cannot be a band.

    Raises:
        InputError: fewer than five atoms, images of different elements, or two atoms on one site.
            The images 1 to 3 may lie on an atom of the host: paths are interpolated, and some
            published ones run right through an atom.
    """
    if len(cell) < IMAGES:
        raise InputError(
            f"{len(cell)} atoms, but a band starts with its {IMAGES} images", field="elements"
        )
    if len(set(cell.numbers[:IMAGES].tolist())) > 1:
        found = " ".join(SYMBOLS[z - 1] for z in cell.numbers[:IMAGES])
        raise InputError(
            f"atoms 0 to {IMAGES - 1}, the images of one ion, differ: {found}", field="elements"
        )
    atoms = list(range(len(cell)))
    for kept in (atoms[:IMAGES], [0, *atoms[IMAGES - 1 :]]):
        part = Cell(cell.lattice, cell.frac[kept], cell.numbers[kept])
        pair = closest_pair(part, OVERLAP)
        if pair is not None:
            i, j = kept[pair[0]], kept[pair[1]]
            raise InputError(
                f"atoms {i} and {j} are on one site ({pair[2]:.4f} Å apart, periodic images count)",
                field="coords",
            )


def check_name(name: str) -> str:
    """The name, if tables and file systems can hold it.

    Raises:
        InputError: line breaks, tabs or other characters that cannot be printed.
    """
    if not name.isprintable():
        raise InputError("holds characters that cannot be printed")
    return name


def _records(data: bytes, path: Path) -> list[Any]:
    try:
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        records = json.loads(data.decode("utf-8-sig"))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"damaged or no gzip file ({error})", file=path) from error
    except RecursionError as error:
        raise InputError("no valid JSON (nested too deeply)", file=path) from error
    except ValueError as error:
        raise InputError(f"no valid JSON ({error})", file=path) from error
    if not isinstance(records, list):
        raise InputError(f"expected a list of records, got {_kind(records)}", file=path)
    if not records:
        raise InputError("the list of records is empty", file=path)
    return records


def _bands(records: list[Any], path: Path) -> Iterator[Band | InputError]:
    numbers: dict[str, int] = {}
    for number, record in enumerate(records, start=1):
        place = f"number {number}"
        try:
            if not isinstance(record, dict):
                raise InputError(f"expected an object, got {_kind(record)}")
            sys_name = _text(record, "sys_name")
            if sys_name:
                place = f"{sys_name!r} (number {number})"
            band = _band(record, sys_name or _fallback_name(record, number))
            if band.name in numbers:
                field = "sys_name" if sys_name else "jid"
                raise InputError(f"same name as record number {numbers[band.name]}", field=field)
            numbers[band.name] = number
            yield band
        except InputError as error:
            where = _FIELDS.get(error.field or "", error.field)
            yield InputError(error.problem, file=path, record=place, field=where)


def _band(record: dict[str, Any], name: str) -> Band:
    target = _target(record.get("target"))
    cell = _cell(record)
    check_band(cell)
    return Band(
        name=name,
        cell=cell,
        target=target,
        system=_text(record, "system") or system_of(name),
        family=_text(record, "class"),
        source=_text(record, "source"),
    )


def _cell(record: dict[str, Any]) -> Cell:
    atoms = record.get("atoms")
    if atoms is None:
        ends = "atoms_ini" in record and "atoms_fin" in record
        why = "; atoms_ini and atoms_fin alone are no path" if ends else ""
        raise InputError(f"missing{why}", field="atoms")
    if not isinstance(atoms, dict):
        raise InputError(f"expected an object, got {_kind(atoms)}", field="atoms")
    lattice, coords = _numbers(atoms, "lattice_mat"), _numbers(atoms, "coords")
    # Checked before the lattice is inverted: for Cartesian coordinates, this cell is a stand-in.
    cell = Cell(lattice, coords, _atomic_numbers(atoms))
    cartesian = atoms.get("cartesian", False)
    if not isinstance(cartesian, bool):
        raise InputError("expected true or false", field="atoms.cartesian")
    if cartesian:
        cell = Cell(lattice, np.linalg.solve(lattice.T, coords.T).T, cell.numbers)
    return cell


def _numbers(atoms: dict[str, Any], key: str) -> NDArray[np.float64]:
    field = f"atoms.{key}"
    if atoms.get(key) is None:
        raise InputError("missing", field=field)
    try:
        values = np.array(atoms[key])
    except ValueError:
        raise InputError("rows of different lengths", field=field) from None
    if values.ndim != 2 or values.shape[1] != 3:
        raise InputError(f"expected rows of 3 numbers, got shape {values.shape}", field=field)
    # Left to themselves, null would become NaN and "0.5" a number.
    if values.dtype.kind not in "if":
        raise InputError("holds something that is not a number", field=field)
    return values.astype(np.float64)


def _atomic_numbers(atoms: dict[str, Any]) -> list[int]:
    symbols = atoms.get("elements")
    if symbols is None:
        raise InputError("missing", field="elements")
    if not isinstance(symbols, list):
        raise InputError(f"expected a list of symbols, got {_kind(symbols)}", field="elements")
    for atom, symbol in enumerate(symbols):
        if not isinstance(symbol, str) or symbol not in Z_OF:
            raise InputError(f"atom {atom}: unknown element {symbol!r}", field="elements")
    return [Z_OF[symbol] for symbol in symbols]


def _target(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"expected a number, got {_kind(value)}", field="target")
    try:
        target = float(value)
    except OverflowError:
        target = math.inf
    if not math.isfinite(target):
        raise InputError("NaN or infinite", field="target")
    return target


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"expected text, got {_kind(value)}", field=key)
    try:
        return check_name(value)
    except InputError as error:
        raise error.at(field=key) from None


def _fallback_name(record: dict[str, Any], number: int) -> str:
    jid = record.get("jid")
    if isinstance(jid, int) and not isinstance(jid, bool):
        return str(jid)
    return _text(record, "jid") or str(number)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value)


def _as_record(band: Band, number: int) -> dict[str, Any]:
    lattice = band.cell.lattice
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    elements = [SYMBOLS[z - 1] for z in band.cell.numbers]
    record: dict[str, Any] = {
        "jid": number,
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
    record["atoms"] = {
        "lattice_mat": lattice.tolist(),
        "coords": band.cell.frac.tolist(),
        "elements": elements,
        "abc": lengths.round(6).tolist(),
        "angles": np.degrees(np.arccos(np.clip(cosines, -1, 1))).round(4).tolist(),
        "cartesian": False,
        "props": [""] * len(elements),
    }
    return record
