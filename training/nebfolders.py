"""Bands as VASP leaves them: NEB folders.

One run is a folder with subfolders ``00``, ``01``, ... without a gap, one for each image. The
structure of an image is its ``CONTCAR`` or, without one (or with an empty one, as a run that was
stopped leaves it), its ``POSCAR``. What becomes of the images: :mod:`training.trajectories`.

A data set is a folder of such runs, each named by its folder. A table ``targets.csv`` beside them
labels them: that of :mod:`training.folders`, where a run takes the place of a structure file.
"""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.safe_reading import read_bytes
from linegraph.structure import Cell

from .bands import Band
from .folders import Row, bands_of, find_table, holds_structures, table_rows
from .jsonfile import check_name
from .records import system_of
from .trajectories import band_of_images

#: What the structure of an image is called, the relaxed one first.
_FILES = ("CONTCAR", "POSCAR")


def is_neb_folder(folder: Path) -> bool:
    """Whether it is one run: it has subfolders ``00`` and ``01``."""
    return all(os.path.isdir(folder / image) for image in ("00", "01"))


def is_neb_data_set(folder: Path) -> bool:
    """Whether it holds runs, and no structure files beside them."""
    if not os.path.isdir(folder) or is_neb_folder(folder):
        return False
    content = _content(folder)
    return not holds_structures(content) and any(map(is_neb_folder, content))


def read_neb_folder(folder: Path) -> tuple[str, Iterator[Band | InputError]]:
    """Read one run.

    Args:
        folder: of the images. The band is called as the folder is; it has no target.

    Returns:
        A SHA-256 (hex) over the names and contents of the structures, and the band or what is
        wrong with it.

    Raises:
        InputError: a folder or a file that cannot be read at all.
    """

    def bands() -> Iterator[Band | InputError]:
        try:
            # The folder may be given as "." or "..".
            name = check_name(Path(os.path.abspath(folder)).name)
            yield Band(name, _read_run(folder), system=system_of(name))
        except InputError as error:
            yield error.at(file=folder)

    return _fingerprint(_structures(folder), folder), bands()


def read_neb_data_set(folder: Path) -> tuple[str, Iterator[Band | InputError]]:
    """Read a folder of runs.

    Args:
        folder: see the top of this file for what it holds.

    Returns:
        A SHA-256 (hex) over the names and contents of the table and the structures, and for every
        row of the table in turn (without a table, for every run by name) its band or what is wrong
        with it. Runs that are missing in the table come last.

    Raises:
        InputError: several tables, or a table, a folder or a file that cannot be read at all.
    """
    content = _content(folder)
    table = find_table(content, folder)
    runs = {run.name: run for run in content if os.path.isdir(run)}
    read = [file for run in runs.values() for file in _structures(run)]
    if table is None:
        rows = [Row(repr(name), {"file": name}) for name in runs]
    else:
        rows = table_rows(table)
        read.append(table)
    found = bands_of(rows, runs, table or folder, _read_run, "NEB folder")
    return _fingerprint(read, folder), found


def _read_run(folder: Path) -> Cell:
    """The band of a run.

    Raises:
        InputError: naming the file or the folder that is to blame.
    """
    if not is_neb_folder(folder):
        raise InputError("is no NEB folder of VASP: has no subfolders 00 and 01", file=folder)
    images = []
    for number, image in enumerate(_images(folder)):
        if int(image.name) != number:
            raise InputError(f"has a subfolder {image.name}, but no {number:02d}", file=folder)
        file = _structure(image)
        if file is None:
            raise InputError(f"holds neither {_FILES[0]} nor {_FILES[1]}", file=image)
        images.append((f"{image.name}/{file.name}", as_cell(file)))
    try:
        return band_of_images(images)
    except InputError as error:
        raise error.at(file=folder) from None


def _content(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if not f.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=folder) from error


def _images(run: Path) -> list[Path]:
    """The subfolders of images, by number."""
    named = [f for f in _content(run) if re.fullmatch("[0-9]{2,}", f.name) and os.path.isdir(f)]
    return sorted(named, key=lambda image: int(image.name))


def _structure(image: Path) -> Path | None:
    files = [image / name for name in _FILES]
    return next((f for f in files if os.path.isfile(f) and os.path.getsize(f) > 0), None)


def _structures(run: Path) -> list[Path]:
    return [file for image in _images(run) if (file := _structure(image)) is not None]


def _fingerprint(files: Iterable[Path], folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        try:
            content = hashlib.sha256(read_bytes(file)).hexdigest()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=file) from error
        # NUL is in no file name, so that no two lists of files can look the same.
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
