"""CSV files of users: their rows, and what to change where a spreadsheet wrote them otherwise."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

from linegraph.errors import InputError, shortened
from linegraph.safe_reading import read_bytes, read_text

#: How the files of spreadsheets begin: archives (.xlsx, .ods) and Microsoft's older ones (.xls).
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

#: How "Unicode text" of spreadsheets begins.
_WIDE = (b"\xff\xfe", b"\xfe\xff")

#: What spreadsheets of many countries put in the place of commas.
_SEPARATORS = ";\t|"

#: Characters of a first line that are quoted.
_QUOTED = 80


def csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a file in UTF-8 that are not empty, each with the number of its (last) line.

    Raises:
        InputError: no or no valid CSV, or a spreadsheet; names the file.
    """
    try:
        begin = read_bytes(path)[:4]
        if begin.startswith(_SPREADSHEETS):
            raise InputError("is a spreadsheet: save it as CSV", file=path)
        if begin.startswith(_WIDE):
            raise InputError("is text in UTF-16: save it as CSV in UTF-8", file=path)
        # Spreadsheets put a byte order mark in front, hence "-sig".
        reader = csv.reader(io.StringIO(read_text(path, "utf-8-sig"), newline=""), strict=True)
        return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"no valid CSV in UTF-8 ({error})", file=path) from error


def first_line(cells: list[str]) -> str:
    """The first row of a table as an error quotes it."""
    return f"the first line is {shortened(','.join(cells), _QUOTED)!r}"


def check_first_row(cells: list[str]) -> None:
    """Refuse a first row that names no columns, or whose columns are not separated by commas.

    Raises:
        InputError: says what to change.
    """
    if cells[0].lstrip().startswith("#"):
        raise InputError(f"{first_line(cells)}, which has to name the columns")
    if len(cells) == 1 and any(mark in cells[0] for mark in _SEPARATORS):
        raise InputError(
            f"{first_line(cells)}: put commas between columns and write decimals with a point"
        )


def finite(text: str) -> float:
    """The finite number that a cell holds.

    Raises:
        InputError: it holds none.
    """
    try:
        # Python takes 1_000 for a thousand; nobody else does.
        value = float("no number" if "_" in text else text)
    except ValueError:
        comma = re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text)
        hint = ": write decimals with a point" if comma else ""
        raise InputError(f"expected a number, got {text!r}{hint}") from None
    if not math.isfinite(value):
        hint = ": leave the cell empty where nothing is known" if math.isnan(value) else ""
        raise InputError(f"{text!r} is NaN or infinite{hint}")
    return value
