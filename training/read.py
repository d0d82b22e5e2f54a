"""The one way in for bands, whatever they are stored as."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from os.path import exists, isdir
from pathlib import Path

from linegraph.errors import InputError

from .bands import Band
from .folders import read_folder
from .nebfolders import is_neb_data_set, is_neb_folder, read_neb_data_set, read_neb_folder
from .records import ENDINGS, read_records
from .trajectories import is_trajectory, read_trajectory


@dataclass(frozen=True, eq=False)
class BandSet:
    """Bands that were read together.

    Attributes:
        bands: in the order of the file, or of the table of a folder; never empty.
        skipped: what was left out and why, each with file, record and, if one is to blame, field.
        path: where they come from.
        fingerprint: SHA-256 in hex. Of a file, that of its bytes as they are (what ``sha256sum``
            says); of a folder, a digest of the names and contents of its table and structures,
            those in the subfolders of NEB runs too.
    """

    bands: list[Band]
    skipped: list[InputError]
    path: Path
    fingerprint: str


def read_bands(path: str | PathLike[str], *, skip_bad: bool = False) -> BandSet:
    """Read bands and check every one of them.

    Args:
        path: a file in the published format (``.json``, ``.json.gz``; see
            :mod:`training.records`), a folder of structure files (:mod:`training.folders`), a
            VASP NEB folder or a folder of such (:mod:`training.nebfolders`), or an ASE trajectory
            (:mod:`training.trajectories`).
        skip_bad: leave out records that cannot be used, instead of stopping at the first. Of two
            records with one name, the second is left out.

    Raises:
        InputError: no such file, another kind of file, a file that is no list of records, a record
            that cannot be used (unless ``skip_bad``), or nothing left to use.
    """
    path = Path(path)
    if is_neb_folder(path):
        fingerprint, found = read_neb_folder(path)
    elif is_neb_data_set(path):
        fingerprint, found = read_neb_data_set(path)
    elif isdir(path):
        fingerprint, found = read_folder(path)
    elif not exists(path):
        raise InputError("no such file or folder", file=path)
    elif path.name.lower().endswith(ENDINGS):
        fingerprint, found = read_records(path)
    elif is_trajectory(path):
        fingerprint, found = read_trajectory(path)
    else:
        raise InputError(
            "expected a .json or .json.gz file of records, a folder of structure files or NEB "
            "runs, or an ASE trajectory with a cell (.traj, .extxyz)",
            file=path,
        )
    bands: list[Band] = []
    skipped: list[InputError] = []
    for band in found:
        if isinstance(band, Band):
            bands.append(band)
        elif skip_bad:
            skipped.append(band)
        else:
            raise band
    if not bands:
        raise InputError(
            f"none of {len(skipped)} records can be used; the first: {skipped[0]}", file=path
        )
    return BandSet(bands, skipped, path, fingerprint)
