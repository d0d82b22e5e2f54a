"""How far a record is from what was trained on, in a descriptor that anybody can follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from linegraph.ends import Ends
from linegraph.paths import IMAGES
from linegraph.structure import MAX_Z
from training.bands import Band
from training.data import hop_length

from .facts import path_of

FloatArray = NDArray[np.float64]

#: Numbers in one block of differences, to bound the memory.
_BLOCK = 4_000_000


def descriptors(bands: Sequence[Band]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What distances are taken in: three blocks of columns.

    Returns:
        ``[n, Z]`` element fractions of the host, ``[n, Z]`` element of the ion as 0 or 1, and
        ``[n, 6]`` the path in Å: hop length, and distance of each of the five images to the
        nearest host atom.
    """
    host, ion = np.zeros((len(bands), MAX_Z)), np.zeros((len(bands), MAX_Z))
    path = np.zeros((len(bands), 6))
    for i, band in enumerate(bands):
        first = band.structures[0]
        atoms = slice(1 if isinstance(band.cell, Ends) else IMAGES, None)
        images = path_of(band.cell)
        ion[i, int(first.numbers[0]) - 1] = 1.0
        path[i, 0] = hop_length(band)
        if len(first.numbers[atoms]):
            counts = np.bincount(first.numbers[atoms], minlength=MAX_Z + 1)[1:]
            host[i] = counts / counts.sum()
            apart = images[:, None] - first.frac[None, atoms]
            apart = (apart - np.rint(apart)) @ first.lattice
            path[i, 1:] = np.linalg.norm(apart, axis=2).min(axis=1)
    return host, ion, path


def nearest_training(
    blocks: Sequence[FloatArray], train: Sequence[int], test: Sequence[int]
) -> FloatArray:
    """Distance of each test record to the training record nearest to it.

    Each column of the last block is divided by its standard deviation over the training records;
    then the squares of each block are divided so that two training records drawn at random are a
    root mean square of 1 apart in it. The squared distance is the mean over the blocks: 1 is as
    far as two training records are apart on the whole, 0 a record with the same numbers.

    Args:
        blocks: as from :func:`descriptors`, ``[n, ...]`` each.
        train: positions of the training records, at least one.
        test: positions of the records to place.

    Returns:
        ``[len(test)]`` distances, without unit.
    """
    parts = []
    for number, block in enumerate(blocks):
        known = block[list(train)]
        spread = known.std(axis=0)
        if number < len(blocks) - 1:
            # Element by element, one rare element would outweigh all others.
            spread = np.full_like(spread, np.sqrt((spread**2).sum()))
        else:
            spread = spread * np.sqrt((spread > 0).sum())
        # A block that does not differ in training has no scale: there, any difference is large.
        spread = np.where(spread > 0, spread, 1.0)
        parts.append(block / (spread * np.sqrt(2 * len(blocks))))
    columns = np.concatenate(parts, axis=1)
    known, asked = columns[list(train)], columns[list(test)]
    rows = max(1, _BLOCK // known.size)
    found = [
        np.sqrt(((asked[i : i + rows, None] - known[None]) ** 2).sum(axis=2).min(axis=1))
        for i in range(0, len(asked), rows)
    ]
    return np.concatenate(found) if found else np.zeros(0)
