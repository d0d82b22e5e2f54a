"""Records of one structure put together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from linegraph.errors import InputError
from linegraph.structure import Cell

from .property_records import Entry, PropertyRecord, read_entries


@dataclass
class Draft:
    """What is known of one structure so far.

    Attributes:
        cell: the structure.
        ids: of its records.
        values: scaled value by property name.
        held_out: those of its properties that are for testing.
        sources: by property name, where its value was found: file and place in it.
    """

    cell: Cell
    ids: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    held_out: set[str] = field(default_factory=set)
    sources: dict[str, tuple[Path, str]] = field(default_factory=dict)


class Merger:
    """Reads files one after the other and keeps one draft per structure.

    Args:
        skip_bad: list records that cannot be used, instead of stopping at the first.

    Attributes:
        drafts: in the order in which their structures first appear.
        skipped: records that were left out and why.
        counts: records by property and split as they say themselves, bad ones included.
        unclear: number of records that do not say as much.
        files: the files with records of each property.
    """

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.skipped: list[InputError] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.unclear = 0
        self.files: dict[str, list[Path]] = {}
        # By digest: the structures themselves would take more memory than everything else.
        self._drafts: dict[bytes, Draft] = {}
        self._owners: dict[str, tuple[bytes, Path]] = {}

    @property
    def drafts(self) -> list[Draft]:
        return list(self._drafts.values())

    def read(self, file: Path, known: Sequence[str] | None) -> str:
        """Read one file (:func:`training.property_records.read_entries`).

        Returns:
            Its SHA-256 (hex).

        Raises:
            InputError: the file, or unless ``skip_bad`` one of its records, cannot be used or
                contradicts a record before it.
        """
        digest, entries = read_entries(file, known)
        for entry in entries:
            self._count(entry, file)
            try:
                if isinstance(entry.found, InputError):
                    raise entry.found
                self._merge(entry.found, file)
            except InputError as error:
                if not self.skip_bad:
                    raise
                self.skipped.append(error)
        return digest

    def _count(self, entry: Entry, file: Path) -> None:
        self.unclear += not entry.properties
        for name in entry.properties:
            self.counts[name, entry.split] += 1
            files = self.files.setdefault(name, [])
            if file not in files:
                files.append(file)

    def _merge(self, record: PropertyRecord, file: Path) -> None:
        cell = record.cell
        key = digest_of(cell.lattice, cell.frac, cell.numbers)
        owner, other = self._owners.get(record.name, (key, file))
        if owner != key:
            raise InputError(
                f"another structure has this id in {other.name}",
                file=file,
                record=record.place,
                field="id",
            )
        draft = self._drafts.get(key) or Draft(cell)
        try:
            _check_agreement(record, draft, file)
        except InputError as error:
            raise error.at(file=file, record=record.place) from None
        self._drafts[key] = draft
        self._owners.setdefault(record.name, (key, file))
        if record.name not in draft.ids:
            draft.ids.append(record.name)
        draft.values.update(record.values)
        if record.split == "test":
            draft.held_out.update(record.values)
        for name in record.values:
            draft.sources.setdefault(name, (file, record.place))


def _check_agreement(record: PropertyRecord, draft: Draft, file: Path) -> None:
    for name, value in record.values.items():
        if name not in draft.values:
            continue
        other, place = draft.sources[name]
        where = f"in record {place}" if other == file else f"in record {place} of {other.name}"
        if value != draft.values[name]:
            raise InputError(
                f"{name!r} is {value!r}, but {draft.values[name]!r} for the same structure {where}",
                field=record.field,
            )
        if (record.split == "test") != (name in draft.held_out):
            raise InputError(
                f"{record.split}, but {name!r} is in the other part for the same structure {where}",
                field="split",
            )


def digest_of(*arrays: NDArray[Any]) -> bytes:
    """Equal for equal numbers."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        # Adding 0 makes -0.0, which files have too, 0.0. Lengths need no mark: they follow from
        # the number of bytes in all.
        digest.update((array + 0.0).tobytes())
    return digest.digest()
