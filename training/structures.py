"""Structure files of any kind: bands with their path, or crystals whose hops are to be found."""

from __future__ import annotations

from os.path import isdir, isfile
from pathlib import Path
from typing import Literal

import numpy as np

from linegraph.cif import explicit_cif
from linegraph.elements import SYMBOLS
from linegraph.errors import InputError
from linegraph.hops import USUAL_IONS
from linegraph.reading import as_cell
from linegraph.structure import Cell

from .bands import IMAGES, Band, check_band
from .folders import read_structure
from .read import read_bands
from .records import ENDINGS
from .trajectories import is_trajectory

#: What a structure file may be told to hold.
Kind = Literal["band", "crystal"]

#: Å; images are nearer to the next one than this (published ones: 0.38 to 2.24 Å), and hardly
#: ever are five ions of a crystal, one after the other.
STEP = 2.3

#: Endings of formats that know no cell, or none that is read here.
_MOLECULES = (".xyz", ".mol", ".sdf", ".pdb")


def read_given(
    path: str | Path, kind: Kind | None = None, ion: str | None = None
) -> Cell | list[Band]:
    """Read whatever there is to predict.

    Args:
        path: a structure file (CIF, POSCAR, ...) of a crystal or of one band, or anything that
            :func:`training.read.read_bands` takes: a data set, an NEB folder, a trajectory.
        kind: what a structure file holds; by default a band if it looks like one
            (:func:`looks_like_band`). A CIF that leaves atoms to symmetry is always a crystal.
        ion: element of the mobile ion, if it may be an unusual one.

    Returns:
        A crystal, or the bands; that of a structure file is named by its path.

    Raises:
        InputError: unreadable, or no bands where bands are to be.
    """
    path = Path(path)
    data_set = isdir(path) or path.name.lower().endswith(ENDINGS) or is_trajectory(path)
    if data_set and kind != "crystal":
        return read_bands(path).bands
    if kind == "band":
        return [Band(str(path), read_structure(path))]
    if isdir(path):
        raise InputError("is a folder; name the structure files in it", file=path)
    if is_trajectory(path):
        raise InputError("is a trajectory, the images of a band, and no crystal", file=path)
    if isfile(path) and path.suffix.lower() in _MOLECULES:
        raise InputError(
            "is of a format for molecules, without a cell; give a crystal, as CIF or POSCAR",
            file=path,
        )
    try:
        listed = explicit_cif(path) if isfile(path) and path.suffix.lower() == ".cif" else None
        cell = as_cell(path) if listed is None else listed
        all_atoms = listed is not None or path.suffix.lower() != ".cif"
        if kind is None and all_atoms and looks_like_band(cell, ion):
            check_band(cell)
            return [Band(str(path), cell)]
    except InputError as error:
        raise error.at(file=path) from None
    return cell


def looks_like_band(cell: Cell, ion: str | None = None) -> bool:
    """Whether the first five atoms are one mobile ion on its way.

    They are of one element, a usual ion (:data:`linegraph.hops.USUAL_IONS`) or the one named, and
    each is nearer than :data:`STEP` to the next, periodic images not counted.
    """
    if len(cell) < IMAGES or len(set(cell.numbers[:IMAGES].tolist())) > 1:
        return False
    if SYMBOLS[cell.numbers[0] - 1] not in (*USUAL_IONS, ion):
        return False
    steps = np.diff(cell.cart[:IMAGES], axis=0)
    return bool((np.linalg.norm(steps, axis=1) < STEP).all())
