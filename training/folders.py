"""Bands as a folder: one structure file per band and a table of their barriers.

Structure files are CIF (``*.cif``), POSCAR (``POSCAR*``, ``CONTCAR*``, ``*.vasp``) or anything
else pymatgen reads. Atoms 0..4 of each, in the order of the file, are the five images of the
migrating ion from initial to final; the rest is the host. Images may be wrapped into the cell: each
is taken where it is nearest to the one before. A CIF has to list every atom itself (space group
P1), which is how pymatgen and ASE write it unless told otherwise.

The table is ``targets.csv``, or else the only ``*.csv`` of the folder, with these columns:

=============  ==========================================================================
``file``       name of a structure file in the folder
``name``       name of the band; by default the file name without ``.cif`` or ``.vasp``.
               Without a column ``file``, it tells the file too
``target_eV``  migration barrier E_m in eV; empty where it is not known
``system``     the compound; by default the name without its pathway number (``_1``, ``_2``)
``class``      material class
``source``     where the barrier comes from
=============  ==========================================================================

``file`` or ``name`` is needed, the rest is optional. Every structure file must be in the table.
A folder without any table is read too: its bands, by file name, have no targets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from os.path import isdir, isfile
from pathlib import Path
from typing import NamedTuple

from linegraph.cif import explicit_cif
from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.safe_reading import read_bytes
from linegraph.structure import Cell
from linegraph.unwrapping import unwrapped

from .bands import Band, barrier
from .csvfile import check_first_row, csv_rows, finite
from .jsonfile import check_name
from .records import check_band, system_of

COLUMNS = ("file", "name", "target_eV", "system", "class", "source")

#: Endings that do not belong to the name of a band.
_ENDINGS = re.compile(r"(\.cif|\.vasp)\Z", re.IGNORECASE)
_STRUCTURES = re.compile(r".*(POSCAR|CONTCAR).*|.*\.(cif|vasp)", re.IGNORECASE)
#: What pymatgen takes for CIF by its name, compressed and magnetic ones too.
_CIF = re.compile(r"\.m?cif", re.IGNORECASE)


class Row(NamedTuple):
    """One line of the table: where it is, and its cells by column."""

    place: str
    cells: dict[str, str]


def read_folder(folder: Path) -> tuple[str, Iterator[Band | InputError]]:
    """Read a folder of structure files.

    Args:
        folder: see the top of this file for what it holds.

    Returns:
        A SHA-256 (hex) over the names and contents of the table and the structure files, and for
        every row of the table in turn (without a table, for every structure file by name) its band
        or what is wrong with it. Structure files that are missing in the table come last.

    Raises:
        InputError: several tables, a table that cannot be read, or nothing to read.
    """
    try:
        content = sorted(f for f in folder.iterdir() if not f.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=folder) from error
    table = find_table(content, folder)
    files = {f.name: f for f in content if _STRUCTURES.fullmatch(f.name)}
    if table is None:
        if not files:
            raise InputError("holds neither a table (targets.csv) nor structure files", file=folder)
        rows = [Row(repr(name), {"file": name}) for name in files]
    else:
        rows = table_rows(table)
        named = {row.cells.get("file", "") for row in rows}
        files.update((f.name, f) for f in content if f.name in named)
    read = [*files.values()] if table is None else [table, *files.values()]
    return _fingerprint(read), bands_of(rows, files, table or folder)


def read_structure(path: Path) -> Cell:
    """Read the structure file of one band.

    Raises:
        InputError: unreadable, not a band, or a CIF that leaves atoms to be made by symmetry
            operations: which of them atoms 0..4 would be is then a matter of luck.
    """
    if not isfile(path):
        raise InputError("no such file", file=path)
    try:
        cell = explicit_cif(path) if _CIF.search(path.name) else as_cell(path)
        if cell is None:
            raise InputError("lists only symmetry-distinct atoms; write all of them, as P1")
        check_band(cell)
        cell = unwrapped(cell)
    except InputError as error:
        raise error.at(file=path) from None
    return cell


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        try:
            content = hashlib.sha256(read_bytes(file)).hexdigest()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=file) from error
        # A slash is in no file name, so that no two lists of files can look the same.
        digest.update(f"{file.name}/{content}/".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def holds_structures(content: list[Path]) -> bool:
    """Whether a name among these is that of a structure file."""
    return any(_STRUCTURES.fullmatch(f.name) and not isdir(f) for f in content)


def find_table(content: list[Path], folder: Path) -> Path | None:
    """The table among the files of a folder, None without any.

    Raises:
        InputError: several could be it.
    """
    tables = [f for f in content if f.suffix.lower() == ".csv"]
    chosen = [f for f in tables if f.name == "targets.csv"] or tables
    if len(chosen) > 1:
        names = ", ".join(f.name for f in chosen)
        raise InputError(f"several tables ({names}): call the right one targets.csv", file=folder)
    return chosen[0] if chosen else None


def table_rows(table: Path) -> list[Row]:
    """The lines of a table; at least one.

    Raises:
        InputError: unreadable, without rows, or with other columns than :data:`COLUMNS`.
    """
    lines = csv_rows(table)
    if len(lines) < 2:
        raise InputError("the table has no rows", file=table)
    header = [column.strip() for column in lines[0][1]]
    try:
        check_first_row(lines[0][1])
        _check_header(header)
    except InputError as error:
        raise error.at(file=table) from None
    rows = []
    for number, line in lines[1:]:
        cells = dict(zip(header, map(str.strip, line), strict=False))
        label = cells.get("file") or cells.get("name")
        place = f"{label!r} (line {number})" if label else f"line {number}"
        if len(line) != len(header):
            problem = f"{len(line)} cells, but there are {len(header)} columns"
            raise InputError(problem, file=table, record=place)
        rows.append(Row(place, cells))
    return rows


def _check_header(header: list[str]) -> None:
    lower = {column.lower(): column for column in COLUMNS}
    for column in header:
        if column not in COLUMNS:
            near = get_close_matches(column.lower(), lower, n=1, cutoff=0.5)
            nearest = f"nearest is {lower[near[0]]!r}, " if near else ""
            raise InputError(
                f"unknown column {column!r}; {nearest}known are {', '.join(COLUMNS)}", field=column
            )
        if header.count(column) > 1:
            raise InputError(f"two columns are called {column!r}", field=column)
    if "file" not in header and "name" not in header:
        raise InputError("no column tells the structure file", field="file")


def bands_of(
    rows: list[Row],
    files: dict[str, Path],
    table: Path,
    read: Callable[[Path], Cell] = read_structure,
    what: str = "structure file",
) -> Iterator[Band | InputError]:
    """The band of every row, or what is wrong with it; then the files that no row names.

    Args:
        rows: of the table.
        files: what bands are read from, by name.
        table: what errors of a row name as the file.
        read: makes a band of a file.
        what: how errors call the files.
    """
    names: dict[str, str] = {}
    used: dict[Path, str] = {}
    for row in rows:
        try:
            path = _file_of(row, files, what)
            if path in used:
                raise InputError(f"{path.name} is that of {used[path]} already", field="file")
            used[path] = row.place
            name = check_name(row.cells.get("name") or _ENDINGS.sub("", path.name))
            if name in names:
                raise InputError(f"same name {name!r} as {names[name]}", field="name")
            names[name] = row.place
            target = _target(row.cells.get("target_eV", ""))
            try:
                cell = read(path)
            except InputError as error:
                raise error.at(record=row.place) from None
            yield Band(
                name=name,
                cell=cell,
                target=target,
                system=row.cells.get("system") or system_of(name),
                family=row.cells.get("class", ""),
                source=row.cells.get("source", ""),
            )
        except InputError as error:
            yield error.at(file=table, record=row.place)
    for path in files.values():
        if path not in used:
            problem = f"{what} {path.name} is not in the table"
            yield InputError(problem, file=table, record=repr(path.name), field="file")


def _file_of(row: Row, files: dict[str, Path], what: str) -> Path:
    file = row.cells.get("file", "")
    if file:
        if Path(file).name != file:
            raise InputError("expected the name of a file in the folder itself", field="file")
        if file not in files:
            raise InputError("no such file in the folder", field="file")
        return files[file]
    name = row.cells.get("name", "")
    if not name:
        raise InputError("empty", field="file")
    fitting = [f for f in files.values() if name in (f.name, _ENDINGS.sub("", f.name))]
    if len(fitting) != 1:
        found = ", ".join(f.name for f in fitting) or "none"
        raise InputError(f"one {what} must have this name, found {found}", field="name")
    return fitting[0]


def _target(text: str) -> float | None:
    if not text:
        return None
    try:
        return barrier(finite(text))
    except InputError as error:
        raise error.at(field="target_eV") from None
