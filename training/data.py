"""A data set ready for training: bands, where they came from, what they are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from linegraph.elements import SYMBOLS
from linegraph.ends import Ends, shortest_hop
from linegraph.errors import InputError

from .bands import IMAGES, Band
from .read import BandSet, read_bands
from .records import system_of
from .starter import starter_bands

#: What ``--data`` means when it is not given.
STARTER = "starter"


def load_bands(data: str | PathLike[str] | None, *, skip_bad: bool = False) -> BandSet:
    """Bands of a file or folder, or the embedded starter set where none is named.

    Raises:
        InputError: see :func:`training.read.read_bands`.
    """
    if data is not None and str(data) != STARTER:
        return read_bands(data, skip_bad=skip_bad)
    bands = starter_bands()
    return BandSet(bands, [], path=_starter_path(), fingerprint=_fingerprint(bands))


def _starter_path() -> Any:
    from importlib.resources import files

    return files(__package__) / "starter" / "compounds.yaml"


def _fingerprint(bands: list[Band]) -> str:
    digest = hashlib.sha256()
    for band in bands:
        digest.update(json.dumps([band.name, band.target, band.system, band.family]).encode())
        for cell in band.structures:
            for array in (cell.lattice, cell.frac):
                # Rounded: the last bits depend on the libraries that built the crystal.
                digest.update((np.round(array, 9) + 0.0).tobytes())
            digest.update(cell.numbers.tobytes())
    return digest.hexdigest()


def labelled(bands: BandSet) -> BandSet:
    """The records with a target.

    Raises:
        InputError: there is none.
    """
    kept = [band for band in bands.bands if band.target is not None]
    if not kept:
        raise InputError("no record has a target to learn from", file=bands.path, field="target")
    if len(kept) == len(bands.bands):
        return bands
    return BandSet(kept, bands.skipped, bands.path, bands.fingerprint)


def one_path_each(bands: BandSet) -> BandSet:
    """One record of each system: the one that is numbered 1 or not at all.

    Source: the single-pathway subset of arXiv:2508.06436 (395 of its 559 training records).

    Raises:
        InputError: there is none.
    """
    kept = [b for b in bands.bands if b.name in (system_of(b.name), f"{system_of(b.name)}_1")]
    if not kept:
        raise InputError("every record is a further path of its system", file=bands.path)
    return BandSet(kept, bands.skipped, bands.path, bands.fingerprint)


def compound_of(band: Band) -> str:
    """What a record is kept together with: its system, or its name where it has none."""
    return band.system or band.name


def ion_of(band: Band) -> str:
    """Symbol of the migrating ion."""
    return SYMBOLS[int(band.structures[0].numbers[0]) - 1]


def hop_length(band: Band) -> float:
    """How far the ion hops, in Å.

    From image 0 to image 4 as they are given, since a path may be longer than half a cell; of two
    ends alone, by the shortest way (:func:`linegraph.ends.shortest_hop`).
    """
    first = band.structures[0]
    if isinstance(band.cell, Ends):
        hop = shortest_hop(band.cell)
    else:
        hop = first.frac[IMAGES - 1] - first.frac[0]
    return float(np.linalg.norm(hop @ first.lattice))


@dataclass(frozen=True)
class Summary:
    """Counts of a data set, for a person.

    Attributes:
        records: all of them.
        with_target: those with a known barrier.
        ends_only: those with two end structures in place of a band.
        systems: different compounds.
        atoms: smallest, median and largest number of atoms, five images or one ion included.
        barrier: smallest, median and largest E_m in eV, None if none is known.
        ions: records by migrating ion, the most frequent first.
        families: records by material class, the most frequent first.
    """

    records: int
    with_target: int
    ends_only: int
    systems: int
    atoms: tuple[int, float, int]
    barrier: tuple[float, float, float] | None
    ions: dict[str, int]
    families: dict[str, int]


def summarise(bands: BandSet) -> Summary:
    """Count what a data set holds."""
    firsts = [band.structures[0] for band in bands.bands]
    sizes = [len(cell) for cell in firsts]
    targets = [band.target for band in bands.bands if band.target is not None]
    ions = Counter(map(ion_of, bands.bands))
    families = Counter(band.family or "(none)" for band in bands.bands)
    return Summary(
        records=len(sizes),
        with_target=len(targets),
        ends_only=sum(len(band.structures) > 1 for band in bands.bands),
        systems=len(set(map(compound_of, bands.bands))),
        atoms=(min(sizes), float(np.median(sizes)), max(sizes)),
        barrier=(min(targets), float(np.median(targets)), max(targets)) if targets else None,
        ions=dict(ions.most_common()),
        families=dict(families.most_common()),
    )
