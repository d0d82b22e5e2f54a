"""What the command ``hops`` does: a crystal structure in, its distinct hops and their bands out."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

from numpy.typing import ArrayLike

from linegraph.approach import closest_approach
from linegraph.empty_sites import EmptySite, with_found
from linegraph.errors import InputError
from linegraph.hops import CLEARANCE, Hop, hops
from linegraph.prediction import formula_of
from linegraph.reading import as_cell
from linegraph.supercell import MIN_WIDTH, band_of

from .bands import Band
from .files import check_outputs
from .records import bands_file, write_bands


class FoundHop(NamedTuple):
    """A hop of a structure file and its band.

    Attributes:
        hop: see :class:`linegraph.hops.Hop`.
        band: named by formula and position (``LiFePO4_1``), without a barrier.
        approach: least distance of an image to an atom of the host, Å.
    """

    hop: Hop
    band: Band
    approach: float


class FoundHops(NamedTuple):
    """What there is in a structure file.

    Attributes:
        hops: sorted by length.
        empty_sites: those that were found; None if none were looked for.
    """

    hops: list[FoundHop]
    empty_sites: tuple[EmptySite, ...] | None


def find_hops(
    path: str | PathLike[str],
    out: str | Path | None = None,
    *,
    ion: str | None = None,
    max_length: float | None = None,
    empty_sites: ArrayLike | None = None,
    find_empty_sites: bool = False,
    symprec: float = 1e-2,
    clearance: float = CLEARANCE,
    min_width: float = MIN_WIDTH,
    idpp: bool = False,
) -> FoundHops:
    """Find the distinct hops of a structure and make their bands.

    Args:
        path: a structure file that pymatgen reads.
        out: a file (``.json``, ``.json.gz``) to write the bands to, as ``predict`` reads them.
        ion: see :func:`linegraph.hops.hops`, as for the next five.
        max_length: Å.
        empty_sites: fractional coordinates.
        find_empty_sites: look for more (:func:`linegraph.empty_sites.find_empty_sites`).
        symprec: Å.
        clearance: Å.
        min_width: see :func:`linegraph.supercell.band_of`, Å.
        idpp: see there.

    Raises:
        InputError: whatever is wrong, naming the file. What is wrong with ``out`` is said first.
    """
    path = Path(path)
    if out is not None:
        check_outputs(bands_file(out), inputs=[path])
    try:
        cell = as_cell(path)
        system = formula_of(cell)
        empty, new = with_found(cell, ion, empty_sites, find_empty_sites, symprec)
        found = []
        for number, hop in enumerate(
            hops(cell, ion, max_length, empty, symprec, clearance=clearance), start=1
        ):
            band = band_of(cell, hop, min_width, idpp)
            record = Band(band_name(system, number), band, system=system)
            found.append(FoundHop(hop, record, closest_approach(band)))
    except InputError as error:
        raise error.at(file=path) from None
    if out is not None:
        write_bands(out, [row.band for row in found])
    return FoundHops(found, new)


def band_name(formula: str, number: int) -> str:
    """What the band of a hop is called: the reduced formula, and its place by length from 1."""
    return f"{formula}_{number}"
