"""Tables as CSV, with every cell's place known to whoever complains about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from linegraph.errors import InputError
from training.csvfile import check_first_row, csv_rows, finite, first_line


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        file: of the table.
        number: of the line in it, counted from 1; the last one of a row of several.
        cells: text by column, without spaces around it.
    """

    file: Path
    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """The text in a column; nothing where the table lacks it."""
        return self.cells.get(column, "")

    def number_in(self, column: str) -> float:
        """The finite number in a column.

        Raises:
            InputError: there is none.
        """
        try:
            return finite(self[column])
        except InputError as error:
            raise self.error(error.problem, column) from None

    def error(self, problem: str, column: str) -> InputError:
        """What is wrong with a cell."""
        label = self["sys_name"]
        place = f"{label!r} (line {self.number})" if label else f"line {self.number}"
        return InputError(problem, file=self.file, record=place, field=column)


def read_lines(path: Path, needed: Sequence[str]) -> tuple[list[str], list[Line]]:
    """Read a CSV file whose first row names the columns.

    Args:
        path: the file, in UTF-8.
        needed: columns that must be there; the first one must be filled in every row.

    Returns:
        The columns, and the rows that are not empty.

    Raises:
        InputError: no or no valid CSV, no rows, a column that is missing or doubled, a row of
            another length, an empty cell in the first column needed. Of a table as spreadsheets
            write it that do not use commas, it says what to change.
    """
    rows = csv_rows(path)
    if not rows:
        raise InputError("the table has no rows", file=path)
    columns = [column.strip() for column in rows[0][1]]
    for column in needed:
        if column not in columns:
            try:
                check_first_row(rows[0][1])
                raise _no_column(column, rows[0][1])
            except InputError as error:
                raise error.at(file=path) from None
    if len(rows) < 2:
        raise InputError("the table has no rows", file=path)
    for column in columns:
        if columns.count(column) > 1:
            raise InputError("several columns are called so", file=path, field=column or "''")
    lines = []
    for number, row in rows[1:]:
        if len(row) != len(columns):
            problem = f"{len(row)} cells, but there are {len(columns)} columns"
            raise InputError(problem, file=path, record=f"line {number}")
        cells = dict(zip(columns, map(str.strip, row), strict=True))
        line = Line(path, number, cells)
        if not line[needed[0]]:
            raise line.error("is empty", needed[0])
        lines.append(line)
    return columns, lines


def _no_column(column: str, first: list[str]) -> InputError:
    """A column is missing in the first line, whose cells these are."""
    lower = {name.strip().lower(): name.strip() for name in first}
    if {"hop", "closest_approach_a"} <= lower.keys():
        return InputError(
            "was written by `predict --csv`, for people; `evaluate` writes predictions for tables",
            field=column,
        )
    near = get_close_matches(column.lower(), lower, n=1)
    nearest = f"; nearest is {lower[near[0]]!r}" if near else ""
    return InputError(f"there is no such column: {first_line(first)}{nearest}", field=column)
