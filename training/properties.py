"""Crystals with many properties: reading a set of them, and parting its values.

A set is a folder of ``.json`` and ``.json.gz`` files of records (:mod:`training.property_records`),
or one such file. ``properties.json`` beside them (:mod:`training.property_table`) gives the order,
titles, units and scales of the properties. Without it they are those found, by name.

What is known of one structure is put together: records with exactly equal lattice, coordinates and
species are one crystal. The same atoms in another order, or rounded otherwise, are another one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from os.path import exists, isdir, isfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from linegraph.errors import InputError
from linegraph.structure import Cell

from .jsonfile import ENDINGS
from .property_merge import Draft, Merger, digest_of
from .property_records import SPLITS, is_property_file
from .property_table import TABLE, Property, Row, read_table, unknown

__all__ = ["Crystal", "Property", "PropertySet", "is_property_set", "read_properties"]


@dataclass(frozen=True, eq=False)
class Crystal:
    """One structure with every property known of it.

    Attributes:
        name: unique; the ids of its records joined by ``+``.
        cell: the structure.
        values: scaled value by property name.
        held_out: those of its properties that are for testing.
    """

    name: str
    cell: Cell
    values: dict[str, float]
    held_out: frozenset[str]

    @cached_property
    def key(self) -> bytes:
        """Equal for equal structures, whatever the order of their atoms."""
        rows = np.column_stack([self.cell.numbers, self.cell.frac])
        order = np.lexsort(rows.T)
        return digest_of(self.cell.lattice, rows[order])


@dataclass(frozen=True, eq=False)
class PropertySet:
    """Crystals that were read together.

    Attributes:
        properties: in the order of the outputs of a model.
        crystals: in the order in which they first appear; never empty.
        skipped: records that were left out and why, each with file, record and, if one is to
            blame, field.
        path: where they come from.
        fingerprint: SHA-256 (hex) over names and contents of all files read, whatever is done
            with them.
    """

    properties: list[Property]
    crystals: list[Crystal]
    skipped: list[InputError]
    path: Path
    fingerprint: str

    def counts(self) -> dict[str, tuple[int, int]]:
        """Values to train and to test on, by property."""
        found = Counter((n, n in c.held_out) for c in self.crystals for n in c.values)
        return {p.name: (found[p.name, False], found[p.name, True]) for p in self.properties}

    def mixed(self) -> int:
        """Structures held out for one property and trained on for another.

        The same atoms in another order are the same structure.
        """
        held_out = self._held_out()
        trained = {
            crystal.key for crystal in self.crystals if set(crystal.values) - crystal.held_out
        }
        return len(held_out & trained)

    def strict(self) -> PropertySet:
        """The same set without the training values of structures that are held out for anything.

        The same atoms in another order are the same structure here: a trunk cannot tell them
        apart. A crystal may be left without any value.
        """
        held_out = self._held_out()
        crystals = [
            replace(c, values={name: c.values[name] for name in c.values if name in c.held_out})
            if c.key in held_out
            else c
            for c in self.crystals
        ]
        return replace(self, crystals=crystals)

    def _held_out(self) -> set[bytes]:
        return {crystal.key for crystal in self.crystals if crystal.held_out}

    def targets(self, held_out: bool) -> Tensor:
        """Scaled values ``[crystals, properties]`` float32, NaN where unknown.

        Args:
            held_out: give the values to test on, instead of those to train on; the others are NaN.
        """
        column = {p.name: i for i, p in enumerate(self.properties)}
        values = np.full((len(self.crystals), len(column)), np.nan, dtype=np.float32)
        for row, crystal in enumerate(self.crystals):
            for name, value in crystal.values.items():
                if (name in crystal.held_out) == held_out:
                    values[row, column[name]] = value
        return torch.from_numpy(values)


def read_properties(
    path: str | PathLike[str],
    *,
    drop: Sequence[str] = (),
    strict_split: bool = False,
    skip_bad: bool = False,
) -> PropertySet:
    """Read crystals and their properties and check every record.

    Args:
        path: a folder of files of records, or one such file; see the top of this file.
        drop: names of properties to leave out, and with them crystals of which nothing else is
            known. Their records are checked all the same.
        strict_split: train on no structure that is held out for any of the (remaining)
            properties: its training values are left out.
        skip_bad: leave out records that cannot be used, instead of stopping at the first. Of two
            records that contradict each other, the second is left out.

    Raises:
        InputError: nothing to read, an unreadable file, a record that cannot be used (unless
            ``skip_bad``), a property of a folder's ``properties.json`` without values, other counts
            than that says, an unknown name in ``drop``, or nothing left.
    """
    path = Path(path)
    files, table = _files(path)
    digests: dict[str, str] = {}
    rows: list[Row] | None = None
    if table is not None:
        digests[table.name], rows = read_table(table)
    known = [row.property.name for row in rows] if rows is not None else None
    merger = Merger(skip_bad)
    for file in sorted(files, key=lambda f: _place_of(f, known)):
        digests[file.name] = merger.read(file, known)
    drafts = merger.drafts
    if not drafts:
        raise InputError(
            f"none of {len(merger.skipped)} records can be used; the first: {merger.skipped[0]}",
            file=path,
        )
    names = {name for draft in drafts for name in draft.values}
    if rows is None:
        properties = [Property(name) for name in sorted(names)]
    else:
        _check_counts(merger, rows, path)
        properties = [row.property for row in rows]
    properties = _kept(properties, drop, names, path)
    crystals = list(_crystals(drafts, {p.name for p in properties}))
    name, times = Counter(crystal.name for crystal in crystals).most_common(1)[0]
    if times > 1:
        raise InputError(
            "two structures have this name, made of the ids of their records; change an id",
            file=path,
            record=repr(name),
        )
    found = PropertySet(properties, crystals, merger.skipped, path, _fingerprint(digests))
    return found.strict() if strict_split else found


def is_property_set(path: str | PathLike[str]) -> bool:
    """Whether a path is for :func:`read_properties` rather than for bands.

    Only the beginnings of files are looked at. A folder with a ``targets.csv`` holds bands.
    """
    path = Path(path)
    try:
        if not isdir(path):
            return path.name.lower().endswith(ENDINGS) and is_property_file(path)
        if (path / "targets.csv").exists():
            return False
        return isfile(path / TABLE) or any(is_property_file(file) for file in _data_files(path))
    except OSError:
        return False


def _files(path: Path) -> tuple[list[Path], Path | None]:
    """The files of records, and the one that lists the properties."""
    if isdir(path):
        try:
            files = _data_files(path)
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=path) from error
        if not files:
            raise InputError("holds no .json or .json.gz files of records", file=path)
        table = path / TABLE
    elif not exists(path):
        raise InputError("no such file or folder", file=path)
    elif path.name == TABLE:
        raise InputError("lists properties but holds no records; give its folder", file=path)
    elif not path.name.lower().endswith(ENDINGS):
        raise InputError("expected a .json or .json.gz file of records, or a folder", file=path)
    else:
        files, table = [path], path.parent / TABLE
    return files, table if isfile(table) else None


def _data_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.name.lower().endswith(ENDINGS)
        and file.name != TABLE
        and not file.name.startswith(".")
    )


def _place_of(file: Path, known: Sequence[str] | None) -> tuple[int, str]:
    """Files called like a property first, as these are ordered, then the others by name."""
    name = file.name.partition(".json")[0]
    if known is None or name not in known:
        return (len(known or ()), file.name)
    return (known.index(name), file.name)


def _check_counts(merger: Merger, rows: Sequence[Row], path: Path) -> None:
    """Refuse files that hold more or fewer records than ``properties.json`` says."""
    for row in rows:
        name = row.property.name
        if name not in merger.files:
            continue
        found = {split: merger.counts[name, split] for split in SPLITS}
        missing = [row.counts[split] - found[split] for split in row.counts]
        # A bad record that was skipped may not tell what it is of: it may be any of the missing.
        if any(m < 0 for m in missing) or sum(missing) > merger.unclear:
            files = merger.files[name]
            said = ", ".join(f"n_{split} {count}" for split, count in row.counts.items())
            raise InputError(
                f"{found['train']} train and {found['test']} test records of {name!r}, but {TABLE} "
                f"says {said}; the file is not whole, or correct these or leave them out there",
                file=files[0] if len(files) == 1 else path,
            )


def _kept(
    properties: list[Property], drop: Sequence[str], found: set[str], path: Path
) -> list[Property]:
    """The properties that are left."""
    names = [p.name for p in properties]
    for name in drop:
        if name not in names:
            raise InputError(f"cannot drop {unknown(name, names)}", file=path)
    kept = [p for p in properties if p.name not in drop]
    missing = [p.name for p in kept if p.name not in found]
    # One file of several need not hold what the others do.
    if missing and path.is_dir():
        raise InputError(
            "no record with a usable value; add its file, or drop the property",
            file=path / TABLE,
            record=repr(missing[0]),
        )
    kept = [p for p in kept if p.name in found]
    if not kept:
        raise InputError("nothing is left: all of its properties are dropped", file=path)
    return kept


def _crystals(drafts: Sequence[Draft], kept: set[str]) -> Iterator[Crystal]:
    for draft in drafts:
        values = {name: value for name, value in draft.values.items() if name in kept}
        if values:
            yield Crystal("+".join(draft.ids), draft.cell, values, frozenset(draft.held_out & kept))


def _fingerprint(digests: dict[str, str]) -> str:
    # A slash is in no file name, so that no two sets of files can look the same.
    lines = (f"{name}/{digest}/" for name, digest in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
