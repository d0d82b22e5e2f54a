"""Copies of bands whose atoms are a little off, for models that look at features alone."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linegraph.band_features import BAND_FEATURES, band_features
from linegraph.images import IMAGES
from linegraph.structure import Cell

from .graphs import Record

#: Standard deviations: of the displacement of an atom of the host along each axis, Å, and of each
#: component of the strain of the cell.
DISPLACEMENT, STRAIN = 0.05, 0.01


def displaced(band: Cell, random: np.random.Generator) -> Cell:
    """A band whose host and lattice are a little off; its images keep their fractions.

    Published structures differ by as much from functional to functional. What is learned from such
    copies, too, does not hang on the last digits of coordinates.

    Args:
        band: atoms 0..4 are the images.
        random: generator to draw from.
    """
    lattice = band.lattice @ (np.eye(3) + STRAIN * random.standard_normal((3, 3)))
    moves = DISPLACEMENT * random.standard_normal((len(band) - IMAGES, 3))
    frac = band.frac.copy()
    frac[IMAGES:] += moves @ np.linalg.inv(lattice)
    return Cell(lattice, frac, band.numbers)


def features_of_copies(
    records: Sequence[Record], copies: int, workers: int | None = None
) -> Tensor:
    """Features of displaced copies ``[n, copies, F]``, columns as in :data:`BAND_FEATURES`.

    They are drawn by the name of a record and the number of the copy: the same in every run, and
    whatever other records there are. One takes about as long as the features of the record, 17 ms.

    Args:
        records: bands.
        copies: of each.
        workers: processes; None for one a core.
    """
    if not records or not copies:
        return torch.zeros(len(records), copies, len(BAND_FEATURES))
    count = joblib.cpu_count() if workers is None else max(1, workers)
    rows = joblib.Parallel(n_jobs=min(count, len(records)))(
        joblib.delayed(_of_record)(record.cell, record.name, copies) for record in records
    )
    return torch.from_numpy(np.stack(rows))


def _of_record(cell: Cell, name: str, copies: int) -> NDArray[np.float32]:
    drawn = (np.random.default_rng([crc32(name.encode()), copy]) for copy in range(copies))
    return np.stack([band_features(displaced(cell, random)) for random in drawn])
