"""Structure files of any kind: bands with their path, or crystals whose hops are to be found."""

from __future__ import annotations

import json
import zlib
from os.path import isdir, isfile
from pathlib import Path
from typing import Literal

from linegraph.cif import explicit_cif
from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.safe_reading import inflated, read_bytes
from linegraph.structure import Cell
from linegraph.unwrapping import unwrapped

from .band_or_crystal import looks_like_band
from .bands import Band, check_band
from .folders import find_table, holds_structures, read_structure
from .nebfolders import is_neb_data_set, is_neb_folder
from .read import read_bands
from .records import ENDINGS
from .trajectories import is_trajectory, single_frame

#: What a structure file may be told to hold.
Kind = Literal["band", "crystal"]

#: Endings of formats that know no cell, or none that is read here.
_MOLECULES = (".xyz", ".mol", ".sdf", ".pdb")


def read_given(
    path: str | Path, kind: Kind | None = None, ion: str | None = None
) -> Cell | list[Band]:
    """Read whatever there is to predict.

    Args:
        path: a structure file (CIF, POSCAR, pymatgen's JSON, a single ASE frame, ...) of a crystal
            or of one band, or anything that :func:`training.read.read_bands` takes: a data set,
            an NEB folder, a trajectory.
        kind: what a structure file holds; by default a band if it looks like one
            (:func:`training.band_or_crystal.looks_like_band`). A CIF that leaves atoms to symmetry
            is always a crystal. Those of a folder without a table have to look like bands, unless
            told to be.
        ion: element of the mobile ion, if it may be an unusual one.

    Returns:
        A crystal, or the bands; that of a structure file is named by its path.

    Raises:
        InputError: unreadable, no bands where bands are to be, or a folder of crystals.
    """
    path = Path(path)
    if isdir(path):
        if kind == "crystal":
            raise InputError("is a folder; name the structure files in it", file=path)
        return read_bands(path).bands if kind == "band" else _bands_in(path, ion)
    frames = is_trajectory(path)
    frame = single_frame(path) if frames else None
    if frame is None and kind != "crystal" and (frames or _holds_records(path)):
        return read_bands(path).bands
    if kind == "band" and frame is None:
        return [Band(str(path), read_structure(path))]
    if frame is None and frames:
        raise InputError("is a trajectory, the images of a band, and no crystal", file=path)
    if frame is None and isfile(path) and path.suffix.lower() in _MOLECULES:
        raise InputError(
            "is of a format for molecules, without a cell; give a crystal, as CIF or POSCAR",
            file=path,
        )
    try:
        cell, complete = (frame, True) if frame is not None else _read(path)
        if kind == "band" or (kind is None and complete and looks_like_band(cell, ion)):
            check_band(cell)
            return [Band(str(path), unwrapped(cell))]
    except InputError as error:
        raise error.at(file=path) from None
    return cell


def _read(path: Path) -> tuple[Cell, bool]:
    """A structure, and whether its file lists every atom in an order of its own."""
    if not isfile(path) or path.suffix.lower() != ".cif":
        return as_cell(path), True
    listed = explicit_cif(path)
    return (as_cell(path), False) if listed is None else (listed, True)


def _holds_records(path: Path) -> bool:
    """Whether it is a JSON file of anything but a structure as pymatgen writes it."""
    if not path.name.lower().endswith(ENDINGS):
        return False
    try:
        data = inflated(read_bytes(path), path.name).removeprefix(b"\xef\xbb\xbf").lstrip()
        # A list may be long, and is read elsewhere.
        found = json.loads(data) if data.startswith(b"{") else None
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return True
    return not (isinstance(found, dict) and {"lattice", "sites"} <= found.keys())


def _bands_in(folder: Path, ion: str | None) -> list[Band]:
    """The bands of a folder; where no table says that they are bands, they look like it.

    Raises:
        InputError: see :func:`training.read.read_bands`, or a crystal.
    """
    if is_neb_folder(folder) or is_neb_data_set(folder):
        return read_bands(folder).bands
    content = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    if find_table(content, folder) is not None:
        return read_bands(folder).bands
    try:
        bands = read_bands(folder).bands
    except InputError:
        files = (file for file in content if holds_structures([file]))
        crystal = next((file for file in files if _is_crystal(file, ion)), None)
        if crystal is None:
            raise
        raise _no_band(folder, crystal.name) from None
    for band in bands:
        if not looks_like_band(band.structures[0], ion):
            raise _no_band(folder, band.name)
    return bands


def _is_crystal(file: Path, ion: str | None) -> bool:
    """Whether a file can be read as a crystal, and does not look like a band."""
    try:
        cell, complete = _read(file)
    except InputError:
        return False
    return not (complete and looks_like_band(cell, ion))


def _no_band(folder: Path, name: str) -> InputError:
    return InputError(
        f"looks like a crystal, and no table says that it is a band: name the files "
        f"({folder.name}/*), or rank them with `screen`; `--as band` insists",
        file=folder,
        record=repr(name),
    )
