"""Displaced copies of bands: how far off they are, and that they are the same in every run."""

from __future__ import annotations

import numpy as np
import torch

from linegraph.band_features import BAND_FEATURES, band_features
from tests.bands import rock_salt_band, some_bands
from training.copies import DISPLACEMENT, STRAIN, displaced, features_of_copies


def test_how_far_off_they_are() -> None:
    band = rock_salt_band("Li", "O", 4.2)
    moves, strains = [], []
    for seed in range(200):
        copy = displaced(band, np.random.default_rng(seed))
        np.testing.assert_array_equal(copy.numbers, band.numbers)
        np.testing.assert_array_equal(copy.frac[:5], band.frac[:5])
        moves.append((copy.frac - band.frac)[5:] @ copy.lattice)
        strains.append(np.linalg.solve(band.lattice, copy.lattice) - np.eye(3))
    assert abs(np.std(moves) / DISPLACEMENT - 1) < 0.05
    assert abs(np.std(np.array(strains)) / STRAIN - 1) < 0.06


def test_features() -> None:
    bands = some_bands()[:3]
    found = features_of_copies(bands, 2)
    assert found.shape == (3, 2, len(BAND_FEATURES)) and found.dtype == torch.float32
    for band, copies in zip(bands, found, strict=True):
        before = torch.from_numpy(band_features(band.cell))
        off = (copies - before)[:, BAND_FEATURES.index("path: nearest anion, image 2")].abs()
        # In a rock salt, by chance alone, one of some that are as near comes nearer.
        assert ((off > 1e-3) & (off < 0.3)).all() and off[0] != off[1]
        elements = [name.startswith("composition") for name in BAND_FEATURES]
        assert torch.equal(copies[0][elements], before[elements])


def test_they_are_drawn_by_name_and_number() -> None:
    bands = some_bands()[:3]
    found = features_of_copies(bands, 2, workers=1)
    again = features_of_copies(bands[::-1], 3, workers=2)
    torch.testing.assert_close(again.flip(0)[:, :2], found, rtol=0, atol=0, equal_nan=True)


def test_none() -> None:
    assert features_of_copies(some_bands()[:2], 0).shape == (2, 0, len(BAND_FEATURES))
    assert features_of_copies([], 3).shape == (0, 3, len(BAND_FEATURES))
