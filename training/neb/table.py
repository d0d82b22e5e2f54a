"""Barriers of a potential as they lie in a table, for whoever predicts beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

from linegraph.approach import Room
from linegraph.errors import InputError, shortened
from linegraph.potential import checked_barrier
from linegraph.safe_reading import read_bytes
from training.judging.tables import Line, read_lines

from .relax import NO_HOP

#: The column of barriers that a run of ``neb`` writes, in its table.
COLUMN, TABLE = "barrier_eV", "barriers.csv"

#: The columns of the lengths of hops, Å, in such a table, and of the room that the ion has.
LENGTH, ROOM = "length_A", ("initial_nearest_A", "approach_A", "final_nearest_A")

#: The column of barriers of the hops the other way round, in such a table.
BACKWARD = "backward_eV"

#: What a cell of ``converged`` may say.
_YES, _NO = ("true", "yes", "1", ""), ("false", "no", "0")

#: Longest text on where barriers are from, characters.
_LONGEST = 200


@dataclass(frozen=True)
class NebTable:
    """Barriers of a potential's nudged elastic bands.

    Attributes:
        path: of the CSV file.
        column: that they are in.
        sha256: of the file, in hex.
        barriers: by ``sys_name``, eV, from 0 to :data:`linegraph.potential.HIGHEST`.
        left_out: names of those that the table says are not converged, or that both ends relaxed
            into one site: these are no barriers of the hop.
        calculator: what they were calculated with, as far as the table tells.
        lengths: of the hops that have a barrier, Å, as far as the table tells.
        rooms: of the same, as far as the table tells.
        backward: barriers of the same hops the other way round, eV, where the column of barriers is
            that of ``neb``, as far as the table tells.
    """

    path: Path
    column: str
    sha256: str
    barriers: dict[str, float]
    left_out: tuple[str, ...] = ()
    calculator: str = ""
    lengths: Mapping[str, float] = field(default_factory=dict)
    rooms: Mapping[str, Room] = field(default_factory=dict)
    backward: Mapping[str, float] = field(default_factory=dict)

    @property
    def left_out_in_words(self) -> str:
        """How many are left out, and why; empty if none is."""
        if not self.left_out:
            return ""
        return f"{len(self.left_out)} not used: not converged, or both ends in one site"

    @property
    def source(self) -> str:
        """Which barriers these are, in words: the calculator, or column and file."""
        text = self.calculator or f"{self.column} of {self.path.name}"
        return shortened(text if text.isprintable() else ascii(text), _LONGEST)

    def of(self, names: Sequence[str]) -> list[float | None]:
        """The barriers of bands in eV, by their names; None where there is none."""
        return [self.barriers.get(name) for name in names]

    def as_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """What ``config.yaml`` holds of it, for a run on these records."""
        count = sum(name in self.barriers for name in names)
        return {"column": self.column, "sha256": self.sha256, "records": count}


def read_neb(path: str | PathLike[str], column: str | None = None) -> NebTable:
    """Read barriers of a potential.

    Args:
        path: a CSV file with ``sys_name`` and a column of barriers in eV, or the folder of a run of
            ``neb``. Rows with an empty cell are left out, and those that a column ``converged`` or
            ``note``, as ``neb`` writes them, says are no barriers of the hop, whatever their value.
        column: of barriers; by default ``barrier_eV``, as ``neb`` writes it.

    Raises:
        InputError: no such table or column, two rows of one name, what is no barrier in eV; the
            message names file, line and column.
    """
    path, column = Path(path), column or COLUMN
    if isdir(path):
        path = path / TABLE
        if not isfile(path):
            raise InputError("there is none: is this the folder of a run of `neb`?", file=path)
    columns, lines = read_lines(path, ("sys_name",))
    if column not in columns:
        known = ", ".join(name for name in columns if name.endswith("_eV")) or "none ends in _eV"
        problem = f"there is no such column (--neb-column names one: {known})"
        raise InputError(problem, file=path, field=column)
    barriers: dict[str, float] = {}
    seen: dict[str, Line] = {}
    left_out = []
    for line in lines:
        name = line["sys_name"]
        if first := seen.get(name):
            raise line.error(f"the name is in line {first.number}, too", "sys_name")
        seen[name] = line
        if not line[column]:
            continue
        # First: where a band blew up, what stands there may be no barrier at all.
        if _converged(line) and NO_HOP not in line["note"]:
            barriers[name] = _barrier(line, column)
        else:
            left_out.append(name)
    digest = hashlib.sha256(read_bytes(path)).hexdigest()
    lengths = {name: seen[name].number_in(LENGTH) for name in barriers if seen[name][LENGTH]}
    rooms = {
        name: Room(*(seen[name].number_in(one) for one in ROOM))
        for name in lengths
        if all(seen[name][one] for one in ROOM)
    }
    backward = {
        name: _barrier(seen[name], BACKWARD)
        for name in lengths
        if column == COLUMN and seen[name][BACKWARD]
    }
    source = _calculator(lines)
    return NebTable(
        path, column, digest, barriers, tuple(left_out), source, lengths, rooms, backward
    )


def given_table(path: str | PathLike[str] | None, column: str | None) -> NebTable | None:
    """The table that a user has named, if any; arguments as of :func:`read_neb`.

    Raises:
        InputError: see there; a column without a table.
    """
    if path is not None:
        return read_neb(path, column)
    if column is not None:
        raise InputError("names a column of a table: name that with --neb", field="neb_column")
    return None


def _barrier(line: Line, column: str) -> float:
    try:
        return checked_barrier(line.number_in(column))
    except InputError as error:
        raise line.error(error.problem, column) from None


def _converged(line: Line) -> bool:
    text = line["converged"]
    if text.lower() not in (*_YES, *_NO):
        raise line.error(f"expected true or false, got {text!r}", "converged")
    return text.lower() in _YES


def _calculator(lines: Sequence[Line]) -> str:
    """What all rows were calculated with; empty where they do not tell, or differ."""
    told = {(line["calculator"], line["version"]) for line in lines}
    if len(told) > 1:
        return ""
    name, version = told.pop()
    return f"{name} ({version})" if name and version else name
