"""Files that are one JSON list of records, and checked values out of a record."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import Z_OF
from linegraph.errors import InputError, shortened
from linegraph.safe_reading import inflated, read_bytes
from linegraph.structure import Cell

#: How the names of such files end.
ENDINGS = (".json", ".json.gz")


def read_list(path: Path) -> tuple[str, list[Any]]:
    """Read a file that holds one list.

    Args:
        path: a ``.json`` or ``.json.gz`` file.

    Returns:
        The SHA-256 (hex) of the bytes of the file, and the list, which is not empty.

    Raises:
        InputError: the file cannot be read, is damaged, is no JSON, or holds something else.
    """
    try:
        data = read_bytes(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        records = json.loads(inflated(data, path.name).decode("utf-8-sig"))
    except InputError as error:
        raise error.at(file=path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"damaged or no gzip file ({error})", file=path) from error
    except RecursionError as error:
        raise InputError("no valid JSON (nested too deeply)", file=path) from error
    except ValueError as error:
        raise InputError(f"no valid JSON ({error})", file=path) from error
    if not isinstance(records, list):
        raise InputError(f"expected a list of records, got {kind(records)}", file=path)
    if not records:
        raise InputError("the list of records is empty", file=path)
    return digest, records


def kind(value: Any) -> str:
    """What a value is, for messages: plain values as they are written."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return shortened(json.dumps(value), 100)


def check_name(name: str) -> str:
    """The name, if tables and file systems can hold it.

    Raises:
        InputError: line breaks, tabs or other characters that cannot be printed.
    """
    if not name.isprintable():
        raise InputError("holds characters that cannot be printed")
    return name


def text(record: dict[str, Any], key: str) -> str:
    """A name or another short text; empty where it is missing or null.

    Raises:
        InputError: something else than printable text.
    """
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"expected text, got {kind(value)}", field=key)
    try:
        return check_name(value)
    except InputError as error:
        raise error.at(field=key) from None


def fallback_name(record: dict[str, Any], number: int) -> str:
    """What to call a record that has no name: its ``jid``, or else its position.

    Raises:
        InputError: a ``jid`` that is neither text nor a whole number.
    """
    jid = record.get("jid")
    if isinstance(jid, int) and not isinstance(jid, bool):
        return str(jid)
    return text(record, "jid") or str(number)


def number(value: Any, field: str) -> float | None:
    """A finite number, or None for None.

    Raises:
        InputError: something else, NaN and infinity included.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"expected a number, got {kind(value)}", field=field)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise InputError("NaN or infinite", field=field)
    return found


def cell_of(
    record: dict[str, Any], keys: tuple[str, str, str] = ("lattice_mat", "coords", "elements")
) -> Cell:
    """A structure from its lattice (Å), coordinates and element symbols.

    Args:
        record: the object that holds them. Coordinates are fractional, or in Å where the record
            says ``"cartesian": true``.
        keys: under which it holds the three.

    Raises:
        InputError: something is missing or cannot be used. The field is ``lattice``, ``coords``,
            ``elements`` or ``cartesian``, whatever the keys are.
    """
    lattice, coords = _rows(record.get(keys[0]), "lattice"), _rows(record.get(keys[1]), "coords")
    # Checked before the lattice is inverted: for Cartesian coordinates, this is a stand-in.
    cell = Cell(lattice, coords, _atomic_numbers(record.get(keys[2])))
    cartesian = record.get("cartesian", False)
    if not isinstance(cartesian, bool):
        raise InputError("expected true or false", field="cartesian")
    if cartesian:
        cell = Cell(lattice, np.linalg.solve(lattice.T, coords.T).T, cell.numbers)
    return cell


def _rows(value: Any, field: str) -> NDArray[np.float64]:
    """Rows of three numbers each, ``[N, 3]``; NaN and infinity are left to :class:`Cell`."""
    if value is None:
        raise InputError("missing", field=field)
    try:
        values = np.array(value)
    except ValueError:
        raise InputError("rows of different lengths", field=field) from None
    if values.ndim != 2 or values.shape[1] != 3:
        raise InputError(f"expected rows of 3 numbers, got shape {values.shape}", field=field)
    # Left to themselves, null would become NaN and "0.5" a number.
    if values.dtype.kind not in "if":
        raise InputError("holds something that is not a number", field=field)
    return values.astype(np.float64)


def _atomic_numbers(symbols: Any) -> list[int]:
    if symbols is None:
        raise InputError("missing", field="elements")
    if not isinstance(symbols, list):
        raise InputError(f"expected a list of symbols, got {kind(symbols)}", field="elements")
    for atom, symbol in enumerate(symbols):
        if not isinstance(symbol, str) or symbol not in Z_OF:
            raise InputError(f"atom {atom}: unknown element {symbol!r}", field="elements")
    return [Z_OF[symbol] for symbol in symbols]
