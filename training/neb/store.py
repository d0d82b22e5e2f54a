"""Results of a run: one file for each record, and tables of all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from linegraph.approach import room_of
from linegraph.errors import InputError, shortened
from linegraph.safe_reading import read_text
from linegraph.structure import Cell
from linegraph.unwrapping import unwrapped
from training.bands import IMAGES, Band
from training.data import hop_length, ion_of
from training.files import write_csv, write_json
from training.report import Row, write_rows

from .relax import Result

#: Folder of the files of single records, in the run folder.
RECORDS = "records"

#: Columns of ``barriers.csv``; energies along the band are relative to the initial image.
BARRIERS = (
    "sys_name", "class", "ion", "atoms", "target_eV", "length_A", "initial_nearest_A",
    "approach_A", "final_nearest_A", "barrier_eV", "backward_eV",
    "from_lowest_eV", "converged", "initial_converged", "final_converged", "band_converged",
    "evaluations", "steps", "cpu_s", "wall_s", "force_eV_A", "end_force_eV_A", "energies_eV",
    "initial_energy_eV", "calculator", "version", "note",
)  # fmt: skip

FAILURES = ("sys_name", "class", "ion", "atoms", "target_eV", "error", "evaluations", "cpu_s",
            "wall_s", "calculator", "version")  # fmt: skip

#: No energy, force, count or time in a result is as large.
_LARGEST = 1e15

#: Longest stem of a file name: file systems end at 255 bytes, with ending and hash.
_LONGEST = 200


class Store:
    """The files of single records. Each is written whole, by whoever relaxed the band.

    Args:
        folder: the run folder.
        bands: the records that have a place in it.
    """

    def __init__(self, folder: Path, bands: Sequence[Band]) -> None:
        self.folder = folder / RECORDS
        self._files = _file_names([band.name for band in bands])

    def path(self, name: str) -> Path:
        """The file of a record."""
        return self.folder / self._files[name]

    def write(self, result: Result) -> None:
        """Keep a result.

        Raises:
            InputError: the file cannot be written.
        """
        write_json(self.path(result.name), asdict(result))

    def read_all(self) -> dict[str, Result]:
        """The results that there are, by name.

        Raises:
            InputError: a file that this program has not written.
        """
        return {name: r for name in self._files if (r := self.read(name)) is not None}

    def read(self, name: str) -> Result | None:
        """The result of a record, None where there is none yet.

        Raises:
            InputError: a file that this program has not written.
        """
        path = self.path(name)
        try:
            values = json.loads(read_text(path))
            result = Result(**{key.name: values[key.name] for key in fields(Result)})
            _check(result)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"is no result of a record ({type(error).__name__}: {error}); delete it to have "
                "the record done again",
                file=path,
            ) from error
        if result.name != name:
            raise InputError(f"is of record {result.name!r}, not {name!r}", file=path)
        return result


def _check(result: Result) -> None:
    """Refuse values that tables cannot be made of.

    Raises:
        TypeError, ValueError: energies that are no finite numbers or are missing, other types.
    """
    for text in (result.error, result.note):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{shortened(repr(text), 50)} is no text")
    if not isinstance(result.energies, list) or not (result.energies or result.error):
        raise TypeError("there are no energies")
    numbers = (result.force, result.end_force, result.evaluations, result.steps, result.cpu_s)
    for value in (*result.energies, result.wall_s, *(x for x in numbers if x is not None)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{shortened(repr(value), 50)} is no number")
        if not abs(value) < _LARGEST:
            raise ValueError(f"{shortened(repr(value), 50)} is out of any range")
    ends = result.ends_converged
    if ends is not None and (not isinstance(ends, list) or len(ends) != 2):
        raise TypeError("ends_converged is not one of two ends")


def write_tables(
    folder: Path, title: str, bands: Sequence[Band], results: Mapping[str, Result], potential: str,
    version: str,
) -> dict[str, Any]:  # fmt: skip
    """Write ``barriers.csv``, ``failures.csv``, ``predictions.csv`` and what is judged by them.

    Args:
        folder: the run folder.
        title: of the parity plot.
        bands: all records, in the order of the rows.
        results: of those that are done, by name.
        potential: name of the calculator.
        version: its version.

    Returns:
        ``metrics.json``'s content: empty where no record that is done has a target.

    Raises:
        InputError: a file cannot be written.
    """
    done = [(band, results[band.name]) for band in bands if band.name in results]
    good = [(band, result) for band, result in done if result.error is None]
    bad = [(band, result) for band, result in done if result.error is not None]
    write_csv(folder / "barriers.csv", BARRIERS, (_row(*one, potential, version) for one in good))
    write_csv(
        folder / "failures.csv",
        FAILURES,
        (
            (*_facts(band), r.error, r.evaluations, r.cpu_s, r.wall_s, potential, version)
            for band, r in bad
        ),
    )
    return write_rows(folder, title, [Row(band, "test", result.forward) for band, result in good])


def _row(band: Band, result: Result, potential: str, version: str) -> tuple[object, ...]:
    ends: Sequence[bool | None] = result.ends_converged or (None, None)
    start = result.energies[0]
    return (
        *_facts(band), hop_length(band), *_room(band),
        _round(result.forward), _round(result.backward), _round(result.from_lowest),
        result.converged, *ends, result.band_converged, result.evaluations, result.steps,
        result.cpu_s, result.wall_s, _round(result.force), _round(result.end_force),
        " ".join(f"{energy - start:.6f}" for energy in result.energies), _round(start),
        potential, version, result.note,
    )  # fmt: skip


def _room(band: Band) -> tuple[float | None, ...]:
    """By which hops of one length are told apart; of a band in one cell, as those of hops are."""
    return room_of(unwrapped(band.cell)) if isinstance(band.cell, Cell) else (None,) * 3


def _facts(band: Band) -> tuple[object, ...]:
    first = band.structures[0]
    extra = 0 if len(band.structures) > 1 else IMAGES - 1
    return band.name, band.family, ion_of(band), len(first) - extra, band.target


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """A file name for each record: its own name where every file system can hold that.

    Names that would be one file where case does not matter, or that are too long, get a hash.
    """
    stems = {name: quote(name, safe=" ,+()[]=") for name in names}
    found = {}
    taken: dict[str, int] = {}
    for stem in stems.values():
        taken[stem.casefold()] = taken.get(stem.casefold(), 0) + 1
    for name, stem in stems.items():
        # A leading dot hides a file, and . and .. are folders.
        plain = stem.replace(".", "%2E", 1) if stem.startswith(".") else stem
        if len(plain) > _LONGEST or taken[stem.casefold()] > 1:
            plain = f"{plain[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        found[name] = f"{plain}.json"
    return found
