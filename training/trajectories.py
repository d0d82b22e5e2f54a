"""Bands from structures in a row, such as the frames of an ASE trajectory.

Every structure is one image of the whole cell: the same atoms in the same order, the first image
the initial structure and the last one the final. The atom that moves farthest is the migrating
ion; the band is the host of the first image and five images of that ion.

- Exactly five images stay as they are. Of any other number, five places are taken at even
  distances along the straight lines from image to image, the first and the last among them.
- How the host relaxes on the way is dropped: a band has one host, as the published ones have.
- Coordinates may be wrapped into the cell: the ion goes from image to image by the shortest way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import SYMBOLS
from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.safe_reading import read_bytes
from linegraph.structure import Cell
from linegraph.unwrapping import shortest_ways

from .bands import IMAGES, OVERLAP, Band, check_band
from .exchanged import check_same_order
from .jsonfile import check_name
from .records import system_of
from .spread import evenly

#: Å; the entries of the lattice vectors of two images may differ by this much.
CELL_TOL = 0.1

#: Å; an ion that moves less than this has not left its site. Published hops are over 1.5 Å long.
MIN_HOP = 0.5

#: Another atom that moves more than this part of what the ion does is a second ion.
SECOND = 0.5

#: Formats of ASE by ending.
_FORMATS = {".traj": "traj", ".extxyz": "extxyz", ".xyz": "extxyz"}


def is_trajectory(path: Path) -> bool:
    """Whether it is a file of frames with a cell: ``.traj``, ``.extxyz``, or ``.xyz`` with one."""
    if not isfile(path) or path.suffix.lower() not in _FORMATS:
        return False
    if path.suffix.lower() != ".xyz":
        return True
    try:
        with path.open("rb") as file:
            file.readline()
            return b"lattice=" in file.readline().lower()
    except OSError:
        return False


def read_trajectory(path: Path) -> tuple[str, Iterator[Band | InputError]]:
    """Read the frames of an ASE trajectory as the images of one band.

    Args:
        path: a ``.traj``, ``.extxyz`` or ``.xyz`` file. The band is called as the file is, without
            the ending; it has no target.

    Returns:
        The SHA-256 (hex) of the file, and the band or what is wrong with it.

    Raises:
        InputError: ASE is missing, or the file cannot be read.
    """
    digest, frames = _frames(path)
    return digest, iter([_band(path, frames)])


def single_frame(path: Path) -> Cell | None:
    """The structure in a file of frames (:func:`is_trajectory`) that holds only one.

    Returns:
        The structure; None where there are more frames.

    Raises:
        InputError: as of :func:`read_trajectory`, or a frame that is no crystal.
    """
    _, frames = _frames(path, ":2")
    if len(frames) != 1:
        return None
    try:
        return as_cell(frames[0])
    except InputError as error:
        raise error.at(file=path) from None


def _frames(path: Path, which: str = ":") -> tuple[str, Sequence[object]]:
    """The SHA-256 (hex) of a file, and its frames, or those of a slice as ASE writes it.

    Raises:
        InputError: ASE is missing, or the file cannot be read.
    """
    try:
        from ase.io import read
    except ImportError:
        raise InputError("trajectories need ASE: pip install ase", file=path) from None
    try:
        data = read_bytes(path)
        digest = hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    if _FORMATS[path.suffix.lower()] == "extxyz":
        _check_counts(data, path)
    try:
        frames: Any = read(
            path,
            index=which,
            format=_FORMATS[path.suffix.lower()],
            do_not_split_by_at_sign=True,  # a@1.traj is the name of a file
        )
    except Exception as error:  # its readers raise whatever they stumble over
        reason = str(error).strip().splitlines()
        raise InputError(
            f"cannot be read as a trajectory ({reason[0] if reason else type(error).__name__})",
            file=path,
        ) from error
    return digest, frames


def _check_counts(data: bytes, path: Path) -> None:
    """Refuse text that declares more atoms or columns than it can hold: ASE makes room for them."""
    most = data.count(b"\n") + 1
    counts = re.findall(rb"(?m)^\s*([0-9]+)\s*$", data)
    if any(len(count) > 9 or int(count) > most for count in counts):
        raise InputError(f"declares more atoms than its {most} lines can hold", file=path)
    if re.search(rb"(?i)properties\s*=\s*[\"']?[^\s\"']*:[0-9]{5}", data):
        raise InputError("declares columns by the ten thousand", file=path)


def _band(path: Path, frames: Sequence[object]) -> Band | InputError:
    try:
        name = check_name(path.stem)
        images = []
        for number, frame in enumerate(frames):
            try:
                images.append((f"frame {number}", as_cell(frame)))
            except InputError as error:
                raise error.at(record=f"frame {number}") from None
        return Band(name, band_of_images(images), system=system_of(name))
    except InputError as error:
        return error.at(file=path)


def band_of_images(images: Sequence[tuple[str, Cell]]) -> Cell:
    """Make one band out of whole structures; see the top of this file.

    Args:
        images: from initial to final, each with what errors call it; three or more.

    Returns:
        The band: atoms 0..4 are the images of the ion, unwrapped, the rest is the host of the
        first image in its order, on its lattice.

    Raises:
        InputError: fewer than three images; images of other atoms, in another order
            (:func:`training.exchanged.check_same_order`) or of another cell; no atom that moves
            (:data:`MIN_HOP`) or two (:data:`SECOND`); a path that comes back to its start, as where
            a trajectory holds several bands; or anything :func:`training.bands.check_band` refuses.
            The message does not name the file.
    """
    if len(images) < 3:
        raise InputError(f"a path has 3 images or more, found {len(images)}")
    names, cells = [name for name, _ in images], [cell for _, cell in images]
    for name, cell in images[1:]:
        _check_alike(names[0], cells[0], name, cell)
    check_same_order(images)
    first = cells[0]
    apart = [b.frac - a.frac for a, b in pairwise(cells)]
    steps = [step + shortest_ways(step, first.lattice) for step in apart]
    ion = _farthest(np.sum(steps, axis=0) @ first.lattice, first)
    # What has been added up is not wrapped, whatever the coordinates of the images are.
    path = first.frac[ion] + np.cumsum([np.zeros(3), *(step[ion] for step in steps)], axis=0)
    away = np.linalg.norm((path[1:] - path[0]) @ first.lattice, axis=1)
    if away.min() < OVERLAP:
        raise InputError(
            f"in {names[1 + int(away.argmin())]} the ion (atom {ion}) is where it was in "
            f"{names[0]}; give the images of one path, each once, and of several only the last"
        )
    host = first.without([ion])
    frac = np.concatenate([_five(path, first), host.frac])
    numbers = np.concatenate([np.full(IMAGES, first.numbers[ion]), host.numbers])
    band = Cell(first.lattice, frac, numbers)
    check_band(band)
    return band


def _check_alike(first_name: str, first: Cell, name: str, cell: Cell) -> None:
    if len(cell) != len(first):
        raise InputError(
            f"{name} has {len(cell)} atoms, but {first_name} {len(first)}", field="elements"
        )
    others = np.flatnonzero(cell.numbers != first.numbers)
    if len(others):
        atom = int(others[0])
        raise InputError(
            f"atom {atom} is {_symbol(cell, atom)} in {name}, but "
            f"{_symbol(first, atom)} in {first_name}; all images need the same order",
            field="elements",
        )
    change = float(np.abs(cell.lattice - first.lattice).max())
    if change > CELL_TOL:
        raise InputError(
            f"the cells of {first_name} and {name} differ by {change:.2f} Å; "
            "all images need the same cell",
            field="lattice",
        )


def _farthest(moves: NDArray[np.float64], cell: Cell) -> int:
    """The one atom that hops, of moves ``[N, 3]`` in Å."""
    lengths = np.linalg.norm(moves, axis=1)
    order = np.argsort(-lengths, kind="stable")
    ion = int(order[0])
    if lengths[ion] < MIN_HOP:
        raise InputError(
            f"no atom hops: atom {ion} ({_symbol(cell, ion)}) moves farthest, by "
            f"{lengths[ion]:.2f} Å from the first to the last image",
            field="coords",
        )
    if len(order) > 1 and lengths[order[1]] >= SECOND * lengths[ion]:
        second = int(order[1])
        raise InputError(
            f"which ion migrates? From the first to the last image atom {ion} "
            f"({_symbol(cell, ion)}) moves {lengths[ion]:.2f} Å and atom {second} "
            f"({_symbol(cell, second)}) {lengths[second]:.2f} Å",
            field="coords",
        )
    return ion


def _five(path: NDArray[np.float64], cell: Cell) -> NDArray[np.float64]:
    """Five places ``[5, 3]`` on a path ``[M, 3]``, both fractional."""
    if len(path) == IMAGES:
        return path
    return evenly(path, cell.lattice, IMAGES)


def _symbol(cell: Cell, atom: int) -> str:
    symbol: str = SYMBOLS[cell.numbers[atom] - 1]
    return symbol
